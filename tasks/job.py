"""What every task is given: the configuration, the store, and the words that lead back to both."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perception_r1.sections import Config, Endpoint
from storage import Artifact, Store, Work
from tasks.pages import with_prefect


class Job:
    """A run of the workflow, or of one stage of it."""

    def __init__(self, config: Config, store: Store, command: str, again: str = "") -> None:
        self.config = config
        self.store = store
        self.command = command
        self.again = again  # the stage that is done again though its result is there; "run" is all of them

    def forced(self, stage: str) -> bool:
        """Whether the stage is done again though its result is there."""
        return self.again in (stage, "run")

    def endpoint(self, name: str) -> Endpoint:
        """The settings of an endpoint."""
        return self.config.endpoints[name]

    @property
    def verdicts(self) -> Path:
        """Where what a served judge says is remembered, for all runs on this machine."""
        return self.store.place.scratch / "cache" / "verdicts.db"

    def origin(self, made: Artifact, kind: str) -> Artifact:
        """What of a kind an artifact was made from; the newest of a name may come from another configuration."""
        return self.store.at(next(parent.version for parent in made.parents if parent.version.startswith(f"{kind}/")))

    def around(self, work: Work, gpus: int = 1) -> dict[str, Any]:
        """How a child is run: it holds the run's lock as long as it lives; a tiny one is forked, and has one thread."""
        if self.config.train.model != "world":
            return {"gpus": gpus, "keep_open": [work.lock]}
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        return {"forked": True, "environment": threads, "keep_open": [work.lock]}

    def name(self, *parts: str | int) -> str:
        """What an artifact of this job is called."""
        return "-".join([self.config.name, *map(str, parts)])


def command_of(stage: str, config: str, profile: str, overrides: Sequence[str], store: str, force: bool = False) -> str:
    """The command line that runs the stage again, or goes on with it."""
    words = ["perception-r1", *(["--store", store] if store else []), stage, "--config", config]
    words += ["--profile", profile] if profile else []
    words += [word for override in overrides for word in ("--set", override)]
    words += ["--force"] * force + ["--no-prefect"] * (not with_prefect())
    return shlex.join(words)
