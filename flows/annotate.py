"""Problems → trajectories of a teacher → visual annotations."""

import tasks.annotate
from flows.opening import opened
from storage import Run
from tasks.orchestration import flow


@flow
def annotate(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> Run:
    """The annotations and the trajectories that they were found in."""
    return tasks.annotate.annotate(opened("annotate", config, profile, overrides, store, force))
