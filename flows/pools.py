"""The stages as deployments, each on its own work pool: calls of a judge on a cheap machine, training on the GPUs."""

from typing import Any

from perception_r1.errors import ConfigError, StageFailed

STAGES = ("annotate", "validate", "train", "evaluate", "compare", "report")


def run_through(deployment: str, parameters: dict[str, Any], command: str, stages: tuple[str, ...] = STAGES) -> None:
    """Returns when every stage's deployment of that name has run; the results are in the store that they share."""
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    for stage in stages:
        name = f"{stage}/{deployment}"
        try:
            run: Any = run_deployment(name, parameters=parameters)
        except ObjectNotFound:
            raise ConfigError(f"there is no deployment {name}: perception-r1 up, or prefect deploy --all") from None
        if not run.state.is_completed():
            raise StageFailed(stage, RuntimeError(f"its run {run.name} is {run.state.name}: see its page"), command)
