"""The method, top to bottom: did this training make the model see better, or only answer better?

    perception-r1 run                                    # here and now
    prefect deployment run reproduce/embedded            # on a worker, seen in the UI
    prefect deployment run reproduce/paper               # each stage on its own work pool: GPUs for two of them

Each call is a stage that can be run alone. What is finished is found in the store and not done again, whichever way
the stages are started.
"""

from flows.evaluate import compared, every_evaluation
from flows.opening import opened
from flows.pools import run_through
from flows.train import every_model
from storage import Artifact
from tasks.annotate import annotate
from tasks.compare import compare
from tasks.evaluate import score
from tasks.job import Job
from tasks.orchestration import flow
from tasks.report import report
from tasks.validate import validate


@flow
def reproduce(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
    through: str = "",
) -> Artifact:
    """The page with the answer; `through` names the stages' deployments, each of which runs on its own work pool."""
    job = opened("run", config, profile, overrides, store, force and not through, elsewhere=bool(through))
    if through:
        settings = {"config": config, "profile": profile, "overrides": overrides, "store": store, "force": force}
        run_through(through, settings, job.command)
    return answered(job)


def answered(job: Job) -> Artifact:
    """The page, from the problems on."""
    # A teacher solves problems aloud; what its right solutions say about the picture becomes the annotations.
    annotated = annotate(job)

    # The judge's verdicts will be the reward: it is tried on responses whose verdicts are known by construction.
    judged = validate(job, annotated)

    # The same GRPO with and without the perception reward, several seeds each: one run's luck is not a method's merit.
    models = every_model(job, annotated, judged)

    # Held-out problems, before and after. Seeing is measured against the truth, never by the judge of training.
    # The same items are asked again without their pictures: what is still right then was not seen.
    evaluated = every_evaluation(job, models)
    scored = score(job, annotated, evaluated)

    # McNemar pairs the same items under two models; the test over seeds asks whether the next run would say the same.
    predictions = compared(job, evaluated)
    tested = compare(job, predictions, judged)

    return report(job, annotated, judged, models, predictions, tested, scored)
