"""Checkpoints → graded predictions on every benchmark under every condition, and their scores."""

import tasks.evaluate
from flows.opening import opened
from flows.train import trained
from storage import Artifact, Run
from tasks.annotate_problems import read_problems
from tasks.evaluate import Evaluated
from tasks.job import Job
from tasks.orchestration import crew, flow
from tasks.train import Model

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
    evaluated = every_evaluation(job, trained(job))
    return [*compared(evaluated), *scores(job, evaluated).outputs.values()]


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


def compared(evaluated: list[Evaluated]) -> list[Artifact]:
    """What the trained models are compared by: the greedy predictions of the untouched items."""
    return [each.predictions for each in evaluated if each.trained]


def scores(job: Job, evaluated: list[Evaluated]) -> Run:
    """The scores, the gains and the overlaps of all predictions."""
    return tasks.evaluate.score(job, read_problems(job), evaluated)


def every_prediction(job: Job, models: list[Model]) -> list[Artifact]:
    """The predictions that the models are compared by."""
    return compared(every_evaluation(job, models))
