"""Predictions → paired tests between the models, and the spread over seeds."""

import tasks.compare
from flows.evaluate import compared, every_evaluation
from flows.opening import opened
from flows.train import every_model
from storage import Run
from tasks.annotate import annotate
from tasks.orchestration import flow
from tasks.validate import validate


@flow
def compare(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> Run:
    """The comparison of every pair of models that may be compared."""
    job = opened("compare", config, profile, overrides, store, force)
    annotated = annotate(job)
    judged = validate(job, annotated)
    predictions = compared(job, every_evaluation(job, every_model(job, annotated, judged)))
    return tasks.compare.compare(job, predictions, judged)
