"""Checkpoints → graded predictions on every benchmark."""

import tasks.evaluate
from flows.opening import opened
from flows.train import trained
from storage import Artifact
from tasks.job import Job
from tasks.orchestration import crew, flow
from tasks.train import Model


@flow
def evaluate(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> list[Artifact]:
    """The predictions of every model on every benchmark."""
    job = opened("evaluate", config, profile, overrides, store, force)
    return every_prediction(job, trained(job))


def every_prediction(job: Job, models: list[Model]) -> list[Artifact]:
    """Each model on each benchmark; as many at once as the configuration says."""
    with crew(job.config.train.at_once) as submit:
        found = [
            submit(tasks.evaluate.evaluate, job, model.name, model.seed, model.checkpoint, benchmark)
            for benchmark in job.config.evaluate.benchmarks
            for model in models
        ]
    return [predictions.result() for predictions in found]
