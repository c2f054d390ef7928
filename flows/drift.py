"""Does the judge still say what it said when it was validated?"""

import tasks.validate
from flows.opening import opened
from storage import Artifact
from tasks.orchestration import flow


@flow
def judge_drift(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> Artifact:
    """What changed on the anchors; a judge that has moved fails the run."""
    # a judge that has moved is validated again, by force: its report is there already
    return tasks.validate.judge_drift(opened("validate", config, profile, overrides, store, force=True))
