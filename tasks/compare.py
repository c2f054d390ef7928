"""Predictions in; every paired test between the models, what a judge's errors make of it, and the spread, out."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa

from perception_r1.compare.contrast import ArmSummary, Contrast, Plan
from perception_r1.compare.corrections import Correction, corrections, judge_errors, read_labels
from perception_r1.compare.family import compare_models, spread
from perception_r1.compare.pairing import csv_records
from perception_r1.compare.pools import COLUMNS
from perception_r1.report import figures
from perception_r1.sections import identity
from perception_r1.table import records_of, table_of
from storage import Artifact, Run, stage
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_picture, publish_table
from tasks.progress import watching
from tasks.validate import chosen_judge, judge_report

SHOWN = ("family", "first", "second", "seed", "n", "difference", "p_exact", "p_midp", "p_adjusted", "power", "sentence")


@task
def compare(job: Job, predictions: Sequence[Artifact], judged: Run) -> Run:
    """The finished run; its outputs are the comparison and the spread, and corrections where a judge read the facts."""
    settings = job.config.compare
    config = {**identity(settings), "comparable": list(_comparable(job)), "labels": _digest(settings.labels)}
    inputs = [*predictions, *(judged.outputs.values() if settings.judged else ())]

    def body(work: Any) -> dict[str, Any]:
        rows = pa.concat_tables([job.store.get(version, list(COLUMNS)) for version in predictions])
        contrasts = compare_models(rows, _plan(job))
        made = {
            f"comparison/{job.name()}": table_of(contrasts, Contrast),
            f"spread/{job.name()}": table_of(spread(rows), ArmSummary),
        }
        if settings.judged:
            made[f"corrections/{job.name()}"] = table_of(_corrected(job, judged, rows, contrasts), Correction)
        return made

    with watching("compare"):
        run = stage(job.store, "compare", inputs, config, body, force=job.forced("compare"))
    _show(job, run)
    return run


def _plan(job: Job) -> Plan:
    settings = job.config.compare
    names = ("alpha", "contrasts", "primary", "benchmarks", "effect", "power")
    return Plan(comparable=list(_comparable(job)), **{name: getattr(settings, name) for name in names})


def _comparable(job: Job) -> Iterator[tuple[str, str]]:
    """The arms that train on the same problems."""
    for one, other in combinations(job.config.train.arms, 2):
        if one.answer_types == other.answer_types:
            yield one.name, other.name


def _corrected(job: Job, judged: Run, rows: pa.Table, contrasts: Sequence[Contrast]) -> list[Correction]:
    """What the judge's errors, and people's labels where there are any, make of the raw tests."""
    settings = job.config.compare
    arms = ["base", *(arm.name for arm in job.config.train.arms)]
    reader = job.config.evaluate.judge or job.config.validate.judge
    known = identity(job.endpoint(reader)) == identity(chosen_judge(job, judged)[0])
    errors = judge_errors(judge_report(job, judged), arms) if known else {}  # of another judge nothing was measured
    labels = None
    if settings.labels:
        with Path(settings.labels).open(encoding="utf-8-sig", newline="") as lines:
            labels = read_labels(csv_records(lines))
    return corrections(rows, contrasts, settings.judged, errors, labels)


def _digest(labels: str) -> str:
    """What the labels are, as their file may change under its name."""
    return hashlib.sha256(Path(labels).read_bytes()).hexdigest() if labels else ""


def _show(job: Job, run: Run) -> None:
    """The tests as a table and as pictures on the page of the Prefect run."""
    found = job.store.get(run[f"comparison/{job.name()}"]).to_pylist()
    publish_table("compare", SHOWN, [[row[name] for name in SHOWN] for row in found], "Every paired test")
    for name, (says, drawn) in figures.of_contrasts(records_of(found, Contrast)).items():
        publish_picture(f"compare {name}", figures.alone(drawn), says)
