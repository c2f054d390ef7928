"""A teacher's trajectories of problems, and an extractor's statements of trajectories: each reply paid for once.

They are stages of their own, so that another rule of hygiene never asks a model again.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from perception_r1.annotate import extract, trajectories
from perception_r1.annotate.asking import Asker, Bill, Fit
from perception_r1.annotate.extract import Extracted, Reading, Text
from perception_r1.annotate.journal import Journal
from perception_r1.annotate.problems import Given
from perception_r1.annotate.trajectories import Teaching, given_trajectories
from perception_r1.annotate.usage import Usage, usage
from perception_r1.endpoints import Speaking, open_endpoint
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.grading import graded
from perception_r1.records import Problem, Trajectory
from perception_r1.sections import Endpoint, identity
from perception_r1.table import records_of, schema_of, table_of
from storage import Artifact, Run, stage
from tasks.annotate_pace import pace
from tasks.annotate_problems import Stored
from tasks.job import Job
from tasks.progress import watching

ROWS_AT_ONCE = 256


def teach(job: Job, read: Run) -> Run:
    """The finished run; its outputs are the trajectories, and what they cost."""
    settings = job.config.annotate
    teacher, problems = job.endpoint(settings.teacher), read[f"problems/{job.name()}"]
    light = Stored(job.store, problems, pictures=False)
    decisive = ("trajectories", "temperature", "seed", "attempts")
    config = {**{name: getattr(settings, name) for name in decisive}, "teacher": identity(teacher)}

    def body(work: Any) -> dict[str, Any]:
        with ExitStack() as open_ones:
            asker = _asker(job, work, open_ones, teacher, trajectories.fit, Bill())
            teaching = Teaching(asker, settings.trajectories, settings.temperature, settings.seed, teacher.max_tokens)
            teaching.ask(Stored(job.store, problems, pictures=True), len(light), pace(watch, asker.bill))
        said = teaching.trajectories(light, _graded)
        return _outputs(job, "trajectories", tables(said, Trajectory), "teacher", asker)

    with watching("annotate: teacher") as watch:
        return stage(job.store, "trajectories", [problems], config, body, force=job.forced("annotate"))


def take_responses(job: Job, read: Run) -> Run:
    """The finished run; its output are the trajectories that the data set has."""
    problems, given = read[f"problems/{job.name()}"], read[f"given/{job.name()}"]

    def body(work: Any) -> dict[str, Any]:
        light = Stored(job.store, problems, pictures=False)
        responses = (Given(**row) for batch in job.store.stream(given) for row in batch.to_pylist())
        return {f"trajectories/{job.name()}": tables(given_trajectories(light, responses, _graded), Trajectory)}

    with watching("annotate: responses"):
        return stage(job.store, "trajectories", [problems, given], {}, body, force=job.forced("annotate"))


def read_statements(job: Job, read: Run, taught: Run) -> Run:
    """The finished run; its outputs are the statements of the kept trajectories, and what they cost."""
    extractor = job.endpoint(job.config.annotate.extractor)
    problems, said = read[f"problems/{job.name()}"], taught[f"trajectories/{job.name()}"]
    config = {"attempts": job.config.annotate.attempts, "extractor": identity(extractor)}

    def body(work: Any) -> dict[str, Any]:
        texts = _Texts(job, problems, said)
        with ExitStack() as open_ones:
            asker = _asker(job, work, open_ones, extractor, extract.fit, _paid(job, taught))
            reading = Reading(asker, extractor.max_tokens)
            reading.ask(texts, len(texts), pace(watch, asker.bill))
        rows = (row for text in texts for row in reading.rows(text))
        return _outputs(job, "statements", tables(rows, Extracted), "extractor", asker)

    with watching("annotate: extractor") as watch:
        return stage(job.store, "statements", [problems, said], config, body, force=job.forced("annotate"))


def _asker(job: Job, work: Any, open_ones: ExitStack, model: Endpoint, fit: Fit, bill: Bill) -> Asker:
    """The model with its journal and the budget; the connections end with the stack, the journal can be read on."""
    settings = job.config.annotate
    bill.most_tokens, bill.most_usd = settings.budget_tokens, settings.budget_usd
    journal = open_ones.enter_context(closing(Journal(work.path / "replies.jsonl")))
    spoken = Speaking(open_endpoint(model), spoke=len(journal) > 0)
    return Asker(
        open_ones.enter_context(closing(spoken)), journal, bill, settings.attempts, fit, settings.max_unanswered
    )


def _paid(job: Job, taught: Run) -> Bill:
    """A bill that begins with what the trajectories have cost."""
    before = used(job, taught, "teacher")
    return Bill(tokens_before=sum(one.tokens for one in before), usd_before=sum(one.usd for one in before))


def used(job: Job, run: Run, role: str) -> list[Usage]:
    """What a run has cost; nothing where no model was asked."""
    cost = run.outputs.get(f"usage/{job.name(role)}")
    return records_of(job.store.get(cost).to_pylist(), Usage) if cost else []


def _outputs(job: Job, kind: str, rows: Iterator[pa.Table], role: str, asker: Asker) -> dict[str, Any]:
    cost = [usage(role, asker.endpoint.model, asker.bill)]
    return {f"{kind}/{job.name()}": rows, f"usage/{job.name(role)}": table_of(cost, Usage)}


class _Texts:
    """The kept trajectories as the extractor is shown them, as often as they are gone through."""

    def __init__(self, job: Job, problems: Artifact, said: Artifact) -> None:
        self._store, self._said = job.store, said
        self._questions = {one.id: one.question for one in Stored(job.store, problems, pictures=False)}
        kept = (batch["dropped"] for batch in job.store.stream(said, ["dropped"]))
        self._count = sum(pc.sum(pc.equal(dropped, "")).as_py() or 0 for dropped in kept)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Text]:
        for batch in self._store.stream(self._said, ["problem", "id", "text", "dropped"]):
            for row in batch.to_pylist():
                if not row["dropped"]:
                    yield Text(row["problem"], row["id"], self._questions[row["problem"]], row["text"])


def _graded(response: str, problem: Problem) -> tuple[str | None, bool]:
    """The answer that the evaluation's own grader finds, and whether it is right."""
    choices = lettered(problem.choices)
    found, grade = graded(response, problem.answer, problem.answer_type, choices=choices)
    return found.value, grade.correct


def tables(records: Iterable[Any], record: type) -> Iterator[pa.Table]:
    """The records as tables of a few rows each, so that they are never all held; none of them is an empty table."""
    waiting = iter(records)
    yield schema_of(record).empty_table()
    while some := list(islice(waiting, ROWS_AT_ONCE)):
        yield table_of(some, record)
