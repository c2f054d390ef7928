"""Checkpoints → graded predictions on every benchmark under every condition, and their scores."""

import tasks.evaluate
from flows.opening import opened
from flows.train import every_model
from storage import Artifact
from tasks.annotate import annotate
from tasks.evaluate import Evaluated, score
from tasks.job import Job
from tasks.orchestration import crew, flow
from tasks.train import Model
from tasks.validate import validate

UNTRAINED = 0  # the seed of a model behind an address


@flow
def evaluate(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> list[Artifact]:
    """The predictions of every model on every benchmark, and the scores."""
    job = opened("evaluate", config, profile, overrides, store, force)
    annotated = annotate(job)
    evaluated = every_evaluation(job, every_model(job, annotated, validate(job, annotated)))
    made = [version for each in evaluated for version in each.versions]
    return [*made, *score(job, annotated, evaluated).outputs.values()]


def every_evaluation(job: Job, models: list[Model]) -> list[Evaluated]:
    """Each model on each benchmark, then each address; as many at once as the configuration says."""
    settings = job.config.evaluate
    asked: list[tuple[str, int, Artifact | None]] = [(model.name, model.seed, model.checkpoint) for model in models]
    asked += [(name, UNTRAINED, None) for name in settings.endpoints]
    with crew(job.config.train.at_once) as submit:
        found = [
            submit(tasks.evaluate.evaluate, job, *model, benchmark)
            for benchmark in settings.benchmarks
            for model in asked
        ]
    return [each.result() for each in found]


def compared(job: Job, evaluated: list[Evaluated]) -> list[Artifact]:
    """What the trained models are compared by: the untouched items; the other conditions where a contrast names one."""
    trained_ones = [each for each in evaluated if each.trained]
    named = any("@" in side for pair in job.config.compare.contrasts for side in pair)
    others = [each.conditions for each in trained_ones if each.conditions] if named else []
    return [*(each.predictions for each in trained_ones), *others]
