"""Annotated problems → a checkpoint for every arm and seed, beside the model that each seed starts from."""

from concurrent.futures import Future
from dataclasses import dataclass

import tasks.annotate
import tasks.train
import tasks.validate
from flows.opening import opened
from perception_r1.sections import Arm
from storage import Artifact
from tasks.job import Job
from tasks.orchestration import crew, flow


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint and what the predictions call it."""

    name: str  # of the arm, or "base"
    seed: int
    checkpoint: Artifact


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
    tasks.validate.validate(job, tasks.annotate.annotate(job))
    return every_model(job)


def every_model(job: Job) -> list[Model]:
    """The model before training of each seed, then every arm and seed; as many at once as the configuration says."""
    settings = job.config.train
    with crew(settings.at_once) as submit:
        bases = {seed: submit(tasks.train.base, job, seed) for seed in settings.seeds}
        arms = {
            (arm.name, seed): submit(_trained, job, arm, seed, bases[seed])
            for seed in settings.seeds
            for arm in settings.arms
        }
    trained = [Model(arm, seed, made.result()) for (arm, seed), made in arms.items()]
    return [Model("base", seed, base.result()) for seed, base in bases.items()] + trained


def _trained(job: Job, arm: Arm, seed: int, base: Future[Artifact]) -> Artifact:
    return tasks.train.train(job, arm, seed, base.result())
