"""What a benchmark is: a module whose docstring shows one real row, with `items` and `read`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from perception_r1.records import Problem


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark, and what is known of its picture."""

    problem: Problem
    stratum: str  # the sort of question
    facts: tuple[str, ...]  # what a right reading of the picture states; empty where nothing is known
    precision: int | None  # decimal places of the answer; None: as many as the gold answer shows
    beside: tuple[str, ...] = ()  # what is also true of the picture, though the question is not about it


class Benchmark(Protocol):
    """What every module of the table has."""

    def items(self, limit: int, seed: int) -> Iterator[Item]:
        """The first `limit` items, or all of them if it is 0; the same for the same seed."""
        ...

    def read(self, response: str, item: Item) -> tuple[int, int]:
        """How many of the item's facts the response's thoughts state rightly, and how many they state wrongly."""
        ...
