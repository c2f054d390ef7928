"""Annotations in; a gold set and the judge's report out. A judge that fails its gates ends the run."""

from contextlib import closing
from dataclasses import asdict
from typing import Any

from perception_r1.endpoints import Speaking, open_endpoint
from perception_r1.judges import Judge
from perception_r1.records import Annotation, Problem, Trajectory
from perception_r1.sections import identity
from perception_r1.table import records_of, table_of
from perception_r1.validate import Gate, GoldVerdict, check, gates, gold_set, judge_metrics, judged
from storage import Run, stage
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_table
from tasks.progress import watching


@task
def validate(job: Job, annotated: Run) -> Run:
    """The finished run; its outputs are the gold set and the judge's report."""
    name, settings = job.name(), job.config.validate
    endpoint = job.endpoint(settings.judge)
    problems = job.origin(annotated[f"annotations/{name}"], "problems")
    inputs = [problems, *annotated.outputs.values()]
    config = {**identity(settings), "judge": identity(endpoint)}
    del config["enforce"]  # it decides what a report means, not what it says

    def body(work: Any) -> dict[str, Any]:
        kinds = (Problem, Trajectory, Annotation)
        parts = {version.kind: version for version in inputs}
        asked, trajectories, annotations = (
            records_of(job.store.get(parts[kind]).to_pylist(), record)
            for kind, record in zip(("problems", "trajectories", "annotations"), kinds, strict=True)
        )
        gold = gold_set(asked, annotations, trajectories, settings.problems, settings.seed)
        with closing(Speaking(open_endpoint(endpoint))) as answering:
            judgements = judged(gold, Judge(answering, max_tokens=endpoint.max_tokens), watch)
        metrics = judge_metrics(gold, judgements)
        report = asdict(metrics) | {"gates": [asdict(gate) for gate in gates(metrics, settings)]}
        return {f"gold_verdicts/{name}": table_of(gold, GoldVerdict), f"judge_report/{name}": [report]}

    with watching("validate") as watch:
        run = stage(job.store, "validate", inputs, config, body, force=job.forced("validate"))
    report = judge_report(job, run)
    publish_table("validate", list(report["gates"][0]), [list(gate.values()) for gate in report["gates"]], "The gates")
    check([Gate(**gate) for gate in report["gates"]], settings.enforce)
    return run


def judge_report(job: Job, run: Run) -> dict[str, Any]:
    """What was measured of the judge, with its gates."""
    report: dict[str, Any] = job.store.get(run[f"judge_report/{job.name()}"]).to_pylist()[0]
    return report
