"""Problems in; trajectories and annotations out."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from perception_r1.annotate.extract import Found, extract
from perception_r1.annotate.funnel import funnel
from perception_r1.annotate.hygiene import clean
from perception_r1.annotate.problems import load_problems
from perception_r1.annotate.quality import quality
from perception_r1.annotate.trajectories import ask_trajectories
from perception_r1.endpoints import Endpoint, Speaking, open_endpoint
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.grading import graded
from perception_r1.records import Annotation, Problem, Trajectory
from perception_r1.sections import identity
from perception_r1.table import records_of, schema_of, table_of
from storage import Artifact, Run, stage
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_table
from tasks.progress import watching


@task
def annotate(job: Job) -> Run:
    """The finished run; its outputs are trajectories and annotations of the problems."""
    problems, settings = read_problems(job), job.config.annotate
    teacher, extractor = job.endpoint(settings.teacher), job.endpoint(settings.extractor)
    config = {**identity(settings), "teacher": identity(teacher), "extractor": identity(extractor)}
    del config["problems"]  # they are an input

    def body(work: Any) -> dict[str, Any]:
        said: list[Trajectory] = []
        facts: list[Annotation] = []
        with closing(Speaking(open_endpoint(teacher))) as asked, closing(Speaking(open_endpoint(extractor))) as reading:
            for number, batch in enumerate(job.store.stream(problems)):
                these = records_of(batch.to_pylist(), Problem)
                trajectories = _trajectories(job, work, number, these, asked)
                found, failed = _found(job, work, number, these, trajectories, reading)
                trajectories = [replace(t, dropped=failed.get(t.id, t.dropped)) for t in trajectories]
                said += trajectories
                facts += clean(these, trajectories, found, settings, extractor.model)
                watch(len({trajectory.problem for trajectory in said}), problems.rows or 0)
        return {
            f"trajectories/{job.name()}": table_of(said, Trajectory),
            f"annotations/{job.name()}": table_of(facts, Annotation),
        }

    with watching("annotate") as watch:
        run = stage(job.store, "annotate", [problems], config, body, force=job.forced("annotate"))
    publish_table("annotate", ["step", "count"], counted(job, run), "From problems to clean annotations")
    return run


def read_problems(job: Job) -> Artifact:
    """The problems as an artifact."""
    settings = job.config.annotate.problems

    def body(work: Any) -> dict[str, Any]:
        return {f"problems/{job.name()}": table_of(list(load_problems(settings)), Problem)}

    return stage(job.store, "problems", [], identity(settings), body)[f"problems/{job.name()}"]


def _trajectories(job: Job, work: Any, number: int, problems: Sequence[Problem], teacher: Endpoint) -> list[Trajectory]:
    """The teacher's responses to one batch of problems, asked for once however often the work is killed."""
    settings = job.config.annotate

    def ask(_: Any) -> Any:
        limit = job.endpoint(settings.teacher).max_tokens
        return table_of(
            ask_trajectories(
                problems, teacher, settings.trajectories, settings.temperature, settings.seed, limit, _graded
            ),
            Trajectory,
        )

    return records_of(work.shard(f"trajectories-{number:06}", ask).to_pylist(), Trajectory)


def _found(
    job: Job,
    work: Any,
    number: int,
    problems: Sequence[Problem],
    trajectories: Sequence[Trajectory],
    extractor: Endpoint,
) -> tuple[list[Found], dict[str, str]]:
    """What the extractor read out of one batch of trajectories, and why it could not read the others."""
    limit = job.endpoint(job.config.annotate.extractor).max_tokens

    def read(_: Any) -> Any:
        found, failures = extract(problems, trajectories, extractor, limit)
        failed = ({"trajectory": trajectory, "failure": reason} for trajectory, reason in failures)
        return pa.Table.from_pylist([*map(asdict, found), *failed], schema=EXTRACTED)

    rows = work.shard(f"found-{number:06}", read).to_pylist()
    failures = {row["trajectory"]: row["failure"] for row in rows if row["failure"]}
    found = [row for row in rows if row["trajectory"] not in failures]
    return records_of([{k: v for k, v in row.items() if k != "failure"} for row in found], Found), failures


EXTRACTED = schema_of(Found).append(pa.field("failure", pa.string()))


def _graded(response: str, problem: Problem) -> tuple[str | None, bool]:
    """The answer that the evaluation's own grader finds, and whether it is right."""
    choices = lettered(problem.choices)
    found, grade = graded(response, problem.answer, problem.answer_type, choices=choices)
    return found.value, grade.correct


def counted(job: Job, run: Run) -> list[tuple[str, int]]:
    """The steps from problems to problems with annotations, counted."""
    annotations = run[f"annotations/{job.name()}"]
    problems = records_of(job.store.get(job.origin(annotations, "problems")).to_pylist(), Problem)
    said = records_of(job.store.get(run[f"trajectories/{job.name()}"]).to_pylist(), Trajectory)
    facts = records_of(job.store.get(annotations).to_pylist(), Annotation)
    return funnel(problems, said, facts)


def measured(job: Job, run: Run) -> dict[str, Any] | None:
    """How good the annotations are, where the truth is known: in the embedded world."""
    if job.config.annotate.problems.source != "world":
        return None
    facts = records_of(job.store.get(run[f"annotations/{job.name()}"]).to_pylist(), Annotation)
    return asdict(quality(job.config.annotate.problems, facts))
