"""Annotations → a gold set with known labels → is the judge good enough to train with?"""

import tasks.annotate
import tasks.validate
from flows.opening import opened
from storage import Run
from tasks.orchestration import flow


@flow
def validate(
    config: str = "configs/embedded.toml",
    profile: str = "",
    overrides: tuple[str, ...] = (),
    store: str = "",
    force: bool = False,
) -> Run:
    """The judge's report; a judge that fails its gates fails the run."""
    job = opened("validate", config, profile, overrides, store, force)
    return tasks.validate.validate(job, tasks.annotate.annotate(job))
