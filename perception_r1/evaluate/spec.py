"""What an evaluating process is told, in one JSON file."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from perception_r1.prompt import Instruction
from perception_r1.sections import PINNED, Condition, Data, Demonstrations, Endpoint, Generator


@dataclass(frozen=True, kw_only=True)
class EvalSpec:
    """One model and one benchmark. `model` and `seed` are what the predictions say of themselves."""

    folder: Path
    weights: Path | None  # the model's folder; None: the endpoint answers
    endpoint: Endpoint | None = None
    digest: str = ""  # of the model: what the cache knows it by
    generator: Generator = "transformers"
    model: str
    seed: int
    benchmark: str
    data: Data = PINNED
    conditions: tuple[Condition, ...] = ("full",)
    items: int
    items_seed: int
    batch: int
    max_tokens: int
    samples: int = 0  # further responses to each item, beside the greedy one
    temperature: float = 1.0
    min_pixels: int = 0
    max_pixels: int = 0
    bf16: bool = False
    instruction: Instruction = "none"
    extractor: Endpoint | None = None  # is asked for answers that no rule finds
    judge: Endpoint | None = None  # reads responses for annotated facts
    demonstrations: Demonstrations = Demonstrations()
    cache: Path | None = None

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
        """Where the shards' predictions are, one file each."""
        return self.folder / "predictions"
