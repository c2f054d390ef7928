"""Annotations in; a gold set and the judge's report out. A judge that fails its gates ends the run."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from perception_r1.errors import GateFailed
from perception_r1.judges import Judge, open_judge
from perception_r1.records import Annotation, Problem, Trajectory
from perception_r1.sections import Candidate, Endpoint, Judging, identity
from perception_r1.table import records_of, table_of
from perception_r1.validate import Gate, JudgedVerdict, anchors, check, drift, gold_set, misjudged, read_labels
from perception_r1.validate.text import as_text
from perception_r1.validate.trial import Entrant, trial
from storage import Artifact, Run, stage
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_table
from tasks.progress import watching

KINDS = {"problems": Problem, "annotations": Annotation, "trajectories": Trajectory}
TABLES = ("gates", "slices", "types", "arms", "repeats", "contenders", "people")  # of a report, each shown by itself


@task
def validate(job: Job, annotated: Run) -> Run:
    """The finished run; its outputs are the gold set with the judge's verdicts, and the judge's report."""
    name, settings = job.name(), job.config.validate
    inputs = [job.origin(annotated[f"annotations/{name}"], "problems"), *annotated.outputs.values()]
    labels = read_labels(Path(settings.labels)) if settings.labels else []
    config = {**identity(settings), "judges": [identity(job.endpoint(each.judge)) for each in _candidates(job)]}
    config["policy"] = job.config.train.model
    config["labels"] = [asdict(label) for label in labels]

    def body(work: Any) -> dict[str, Any]:
        parts = {v.kind: records_of(job.store.get(v).to_pylist(), KINDS[v.kind]) for v in inputs if v.kind in KINDS}
        gold = gold_set(**parts, count=settings.problems, seed=settings.seed)
        with ExitStack() as stack:
            entrants = [
                Entrant(each.judge, stack.enter_context(closing(_judge(job, each, work.path / "verdicts.db"))))
                for each in _candidates(job)
            ]
            rows, report = trial(gold, entrants, settings, labels, job.config.train.model, watch)
        return {f"gold_verdicts/{name}": table_of(rows, JudgedVerdict), f"judge_report/{name}": [report]}

    with watching("validate") as watch:
        run = stage(job.store, "validate", inputs, config, body, force=job.forced("validate"))
    report = judge_report(job, run)
    if job.store.producer.get("stage") == "validate":  # as part of a run it is on the page
        print(as_text(report), file=sys.stderr)
    for table in TABLES:
        if rows := report.get(table):
            publish_table(f"validate {table}", list(rows[0]), [list(row.values()) for row in rows], f"Judge: {table}")
    check([Gate(**gate) for gate in report["gates"]], settings.accept, misjudged(_gold(job, run)))
    return run


def _gold(job: Job, run: Run) -> Iterator[JudgedVerdict]:
    yield from records_of(job.store.get(run[f"gold_verdicts/{job.name()}"]).to_pylist(), JudgedVerdict)


@task
def judge_drift(job: Job) -> Artifact:
    """What the judge says today of the anchors of its newest validation; a judge that has moved ends the run."""
    gold, tried = (job.store.latest(kind, job.name()) for kind in ("gold_verdicts", "judge_report"))
    report = job.store.get(tried).to_pylist()[0]
    rows = records_of(job.store.get(gold).to_pylist(), JudgedVerdict)
    kept = anchors(rows, [row.judgement for row in rows])
    if not kept:
        raise GateFailed(f"{gold.version} has no verdict of a model: validate this judge before its drift is watched")
    with closing(_judge(job, Candidate(judge=report["judge"], prompt=report["prompt"]), None)) as judge:
        found = drift(kept, judge, job.config.validate.max_flips)
    made = job.store.put("drift", job.name(), [asdict(found)], parents=[gold])
    publish_table("judge drift", list(asdict(found)), [list(asdict(found).values())], "The anchors, judged again")
    if found.alarm:
        raise GateFailed(found.alarm)
    return made


def judge_report(job: Job, run: Run) -> dict[str, Any]:
    """What was measured of the judge, with its gates."""
    report: dict[str, Any] = job.store.get(run[f"judge_report/{job.name()}"]).to_pylist()[0]
    return report


def chosen_judge(job: Job, run: Run) -> tuple[Endpoint, Judging]:
    """The judge that was found best, and its wording: what training asks."""
    report = judge_report(job, run)
    return job.endpoint(report["judge"]), replace(job.config.validate.judging, prompt=report["prompt"])


def accepted(job: Job, run: Run) -> dict[str, Any]:
    """For the lineage of what is trained: which gates the judge failed and why it is trusted, if any."""
    failed = [gate["name"] for gate in judge_report(job, run)["gates"] if not gate["passed"]]
    return {"accepted_judge": {"failed": failed, "reason": job.config.validate.accept}} if failed else {}


def _candidates(job: Job) -> list[Candidate]:
    """The configured judge with its wording, then those that are compared with it."""
    settings = job.config.validate
    return [Candidate(judge=settings.judge, prompt=settings.judging.prompt), *settings.candidates]


def _judge(job: Job, candidate: Candidate, cache: Path | None) -> Judge:
    """A candidate, ready to judge; one behind an address remembers, so that a run that was killed goes on."""
    endpoint = job.endpoint(candidate.judge)
    judging = replace(job.config.validate.judging, prompt=candidate.prompt)
    return open_judge(endpoint, judging, cache if endpoint.base_url else None)
