"""Stored responses graded again, without the model and without the benchmark's data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perception_r1.benchmarks.item import Benchmark
from perception_r1.evaluate.harnesses import HARNESSES

Row = Mapping[str, Any]
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Rescored:
    """Accuracy under a harness, and on how many items it differs from the stored grades, either way."""

    harness: str
    items: int
    accuracy: float
    now_right: int
    now_wrong: int
    examples: tuple[str, ...]  # items whose grade differs


def rescored(rows: Sequence[Row], benchmark: Benchmark, shown: int = 3) -> list[Rescored]:
    """The stored grades, then every harness, "ours" as the benchmark's rules are today."""
    known = [row for row in rows if row["correct"] is not None]
    if not known:
        return []
    stored = [float(row["correct"]) for row in known]
    found = [Rescored("stored", len(known), sum(stored) / len(known), 0, 0, ())]
    for name, reader in HARNESSES.items():
        grades = [0.0 if row["status"] == "truncated" else reader(row["response"], row, benchmark) for row in known]
        found.append(_compared(name, known, grades, shown))
    return found


def _compared(name: str, rows: Sequence[Row], grades: Sequence[float], shown: int) -> Rescored:
    up = [row["item"] for row, grade in zip(rows, grades, strict=True) if grade >= HALF and not row["correct"]]
    down = [row["item"] for row, grade in zip(rows, grades, strict=True) if grade < HALF and row["correct"]]
    return Rescored(name, len(rows), sum(grades) / len(rows), len(up), len(down), tuple([*up, *down][:shown]))
