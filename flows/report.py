"""Everything found → one page with the answer. It needs all stages, so it is `reproduce` under the name of its end."""

from flows.opening import opened
from flows.reproduce import answered
from storage import Artifact
from tasks.orchestration import flow


@flow
def report(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> Artifact:
    """The page with the answer."""
    return answered(opened("report", config, profile, overrides, store, force))
