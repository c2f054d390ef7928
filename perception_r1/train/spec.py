"""What a training process is told: everything, resolved, in one JSON file, so that it can be replayed by hand."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from perception_r1.sections import Endpoint, Judging, Kl, Train, Weight


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One arm and one seed. Paths are of this machine; the folder holds checkpoints, rollouts and the result."""

    folder: Path
    base: Path  # the model's folder
    problems: Path  # Parquet
    annotations: Path  # Parquet
    weights: Mapping[Weight, float]
    answer_types: tuple[str, ...]
    seed: int
    train: Train
    judge: Endpoint | None  # None where no reward asks one
    judging: Judging = Judging()  # as it was validated
    verdicts: Path | None = None  # where a served judge's are remembered, so that nobody pays for them twice
    gate: bool = False  # a right answer pays as far as it was seen
    kl: Kl | None = None  # None: train.kl throughout

    def as_json(self) -> dict[str, Any]:
        """The specification as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return values

    @classmethod
    def read(cls, path: Path) -> "RunSpec":
        """The specification in a file."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    @property
    def model(self) -> Path:
        """Where the trained model will be."""
        return self.folder / "model"

    @property
    def rollouts(self) -> Path:
        """Where the ledger's files are, one a step and process."""
        return self.folder / "rollouts"

    @property
    def looks(self) -> Path:
        """What was seen of the held-out problems and the anchors, one file a look."""
        return self.folder / "looks"

    @property
    def best(self) -> Path:
        """Where the model is that did best on the held-out problems."""
        return self.folder / "best"

    @property
    def checkpoints(self) -> Path:
        """Where a killed run goes on from."""
        return self.folder / "checkpoints"
