"""Anything that answers, for tests of evaluations: a function as a model, and what it was asked."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from perception_r1.benchmarks import world
from perception_r1.benchmarks.item import Item
from perception_r1.endpoints import Reply, Request
from perception_r1.evaluate.cache import Response
from perception_r1.evaluate.engines import Asked
from perception_r1.evaluate.spec import EvalSpec

CONDITIONS = ("full", "none", "blank", "shuffled", "caption")


def spec(folder: Path, **rest: object) -> EvalSpec:
    settings: dict[str, object] = {
        "weights": None,
        "model": "base",
        "seed": 0,
        "benchmark": "world",
        "items": 24,
        "items_seed": 0,
        "batch": 8,
        "max_tokens": 64,
    }
    return EvalSpec(folder=folder, **{**settings, **rest})  # type: ignore[arg-type]


def rows(folder: Path, pattern: str = "*") -> list[dict[str, object]]:
    return [
        row
        for path in sorted((folder / "predictions").glob(f"{pattern}.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


class Stub:
    """A model that is a function of the question; counts what it is asked."""

    def __init__(self, said: object) -> None:
        self.said, self.asked = said, 0

    def respond(self, stream: Iterable[Asked]) -> Iterator[tuple[Asked, Response]]:
        for asked in stream:
            self.asked += 1
            yield asked, self.said(asked)  # type: ignore[operator]

    def close(self) -> None: ...


def ignores_pixels(asked: Asked) -> Response:
    return Response("\\boxed{B}", 3, False)


class OnlyMax:
    """The world's questions for the tallest bar, whose answer stands in the pixels and is never A."""

    DATA = None
    read, grade, metrics = staticmethod(world.read), staticmethod(world.grade), staticmethod(world.metrics)

    @staticmethod
    def items(limit: int, seed: int, data: object = None) -> Iterator[Item]:
        found = (item for item in world.items(limit * 6, seed) if item.stratum == "max" and item.problem.answer != "A")
        yield from (item for _, item in zip(range(limit), found, strict=False))


class Finding:
    model = "finder"

    def __init__(self, *replies: object) -> None:
        self.replies, self.seen = list(replies), []  # type: ignore[var-annotated]

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, object]]:
        for number, request in enumerate(requests):
            self.seen.append(request.messages[0]["content"])
            yield number, self.replies[number % len(self.replies)]

    def close(self) -> None: ...


def reply(text: str) -> Reply:
    return Reply(text, 1, 1, 0.0)
