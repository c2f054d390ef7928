"""What an evaluating process is told, in one JSON file."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from perception_r1.prompt import Instruction


@dataclass(frozen=True, kw_only=True)
class EvalSpec:
    """One model and one benchmark. `model` and `seed` are what the predictions say of themselves."""

    folder: Path
    weights: Path  # the model's folder
    model: str
    seed: int
    benchmark: str
    items: int
    items_seed: int
    batch: int
    max_tokens: int
    min_pixels: int
    max_pixels: int
    bf16: bool
    instruction: Instruction

    def as_json(self) -> dict[str, Any]:
        """The specification as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return values

    @classmethod
    def read(cls, path: Path) -> "EvalSpec":
        """The specification in a file."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    @property
    def predictions(self) -> Path:
        """Where the batches' predictions are, one file each."""
        return self.folder / "predictions"
