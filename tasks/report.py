"""All findings in; one page out."""

from collections.abc import Sequence
from typing import Any

from perception_r1.compare.contrast import ArmSummary, Contrast
from perception_r1.compare.corrections import Correction
from perception_r1.evaluate.contamination import Overlap
from perception_r1.evaluate.gains import Gain
from perception_r1.evaluate.scores import Score
from perception_r1.report import Findings, page, summary
from perception_r1.report.findings import Alarm
from perception_r1.sections import identity
from perception_r1.table import records_of
from perception_r1.train.ledger import TERMS
from storage import Artifact, Run, sql, stage
from tasks.annotate import counted, measured
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_markdown
from tasks.progress import watching
from tasks.train import Model, alarms_of
from tasks.validate import judge_report

LOOKED_AT = ("accuracy", "perception", "all_seen", "repetition", "length")  # of the held-out problems
PAGE, TEXT = "index.html", "summary.txt"


@task
def report(
    job: Job,
    annotated: Run,
    judged: Run,
    models: Sequence[Model],
    predictions: Sequence[Artifact],
    compared: Run,
    scored: Run,
) -> Artifact:
    """The page, and the same for a terminal, in a folder."""
    name, settings = f"report/{job.name()}", identity(job.config)
    rollouts = {
        arm.name: [model.rollouts for model in models if model.name == arm.name and model.rollouts]
        for arm in job.config.train.arms
    }
    looks = {
        arm.name: [model.looks for model in models if model.name == arm.name and model.looks]
        for arm in job.config.train.arms
        if job.config.train.watch.every
    }
    runs = [version for run in (annotated, judged, compared, scored) for version in run.outputs.values()]
    trained = [version for of_arms in (rollouts, looks) for versions in of_arms.values() for version in versions]
    inputs = [*runs, *predictions, *trained]

    def body(work: Any) -> dict[str, Any]:
        found = Findings(
            title=job.config.report.title,
            meaningless=job.config.report.meaningless,
            contrasts=_rows(job, compared, "comparison", Contrast),
            spread=_rows(job, compared, "spread", ArmSummary),
            scores=_rows(job, scored, "scores", Score),
            gains=_rows(job, scored, "gains", Gain),
            overlaps=_rows(job, scored, "overlaps", Overlap),
            judge=judge_report(job, judged),
            funnel=counted(job, annotated),
            quality=measured(job, annotated),
            config=settings,
            versions=[(version.kind, version.version) for version in inputs],
            made=max(version.created for version in inputs),
            control=job.config.report.control,
            rollouts={arm: _curve(job, TERMS, versions) for arm, versions in rollouts.items()},
            looks={arm: _curve(job, LOOKED_AT, versions) for arm, versions in looks.items()},
            alarms=_alarms(job, models),
            corrections=_rows(job, compared, "corrections", Correction) if job.config.compare.judged else (),
        )
        folder = work.path / "report"
        folder.mkdir(exist_ok=True)
        (folder / PAGE).write_text(page(found))
        (folder / TEXT).write_text(summary(found))
        return {name: folder}

    with watching("report"):
        made = stage(job.store, "report", inputs, settings, body, force=job.forced("report"))[name]
    publish_markdown("report", f"```\n{(job.store.get(made) / TEXT).read_text()}\n```")
    return made


def _rows(job: Job, run: Run, kind: str, record: type) -> list[Any]:
    return records_of(job.store.get(run[f"{kind}/{job.name()}"]).to_pylist(), record)


def _alarms(job: Job, models: Sequence[Model]) -> list[Alarm]:
    """What was suspicious while the models trained."""
    return [
        Alarm(model.name, model.seed, step, says)
        for model in models
        if model.looks
        for step, says in alarms_of(job, model.looks)
    ]


def _curve(job: Job, terms: Sequence[str], made: Sequence[Artifact]) -> list[dict[str, float]]:
    """The mean of each term at each step, over the seeds."""
    means = ", ".join(f"avg({term}) AS {term}" for term in terms)
    versions = ", ".join(f"'{version.version}'" for version in made)
    told = f"SELECT step, {means} FROM {made[0].kind} WHERE _version IN ({versions}) GROUP BY step ORDER BY step"
    found = sql(told, job.store)
    rows = (dict(zip(found.columns, row, strict=True)) for row in found.fetchall())
    return [{key: value for key, value in row.items() if value is not None} for row in rows]
