"""Predictions in; every paired test between the models, and the spread over seeds, out."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from perception_r1.compare.family import ArmSummary, Contrast, compare_models, spread
from perception_r1.sections import identity
from perception_r1.table import table_of
from storage import Artifact, Run, stage
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_table
from tasks.progress import watching


@task
def compare(job: Job, predictions: Sequence[Artifact]) -> Run:
    """The finished run; its outputs are the comparison and the spread."""
    pairs = list(_comparable(job))
    config = {**identity(job.config.compare), "comparable": pairs}

    def body(work: Any) -> dict[str, Any]:
        rows = [row for version in predictions for row in job.store.get(version).to_pylist()]
        contrasts = compare_models(rows, job.config.compare.alpha, pairs)
        return {
            f"comparison/{job.name()}": table_of(contrasts, Contrast),
            f"spread/{job.name()}": table_of(spread(rows), ArmSummary),
        }

    with watching("compare"):
        run = stage(job.store, "compare", predictions, config, body, force=job.forced("compare"))
    columns = ["outcome", "kind", "first", "second", "seed", "n", "difference", "p_exact", "p_adjusted", "sentence"]
    found = job.store.get(run[f"comparison/{job.name()}"], columns).to_pylist()
    publish_table("compare", columns, [list(row.values()) for row in found], "Every paired test")
    return run


def _comparable(job: Job) -> Iterator[tuple[str, str]]:
    """The arms that train on the same problems."""
    for one, other in combinations(job.config.train.arms, 2):
        if one.answer_types == other.answer_types:
            yield one.name, other.name
