"""Annotated problems → a checkpoint for every arm and seed, beside the model that each seed starts from."""

from concurrent.futures import Future

import tasks.train
from flows.opening import opened
from perception_r1.sections import Arm
from storage import Artifact, Run
from tasks.annotate import annotate
from tasks.job import Job
from tasks.orchestration import crew, flow
from tasks.train import Model
from tasks.validate import validate


@flow
def train(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> list[Model]:
    """The models of every arm and seed, after their judge was found good enough."""
    job = opened("train", config, profile, overrides, store, force)
    annotated = annotate(job)
    return every_model(job, annotated, validate(job, annotated))


def every_model(job: Job, annotated: Run, judged: Run) -> list[Model]:
    """The model before training of each seed, then every arm and seed; as many at once as the configuration says."""
    settings, annotations = job.config.train, annotated[f"annotations/{job.name()}"]
    with crew(settings.at_once) as submit:
        bases = {seed: submit(tasks.train.base, job, seed) for seed in settings.seeds}
        arms = [
            submit(_after_base, job, arm, seed, annotations, judged, bases[seed])
            for seed in settings.seeds
            for arm in settings.arms
        ]
    return [made.result() for made in (*bases.values(), *arms)]


def _after_base(job: Job, arm: Arm, seed: int, annotations: Artifact, judged: Run, base: Future[Model]) -> Model:
    return tasks.train.train(job, arm, seed, annotations, base.result().checkpoint, judged)
