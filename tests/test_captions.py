"""Descriptions of pictures: one for the same pictures, none for what is known, and never the question."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from perception_r1.benchmarks import world
from perception_r1.benchmarks.item import Item
from perception_r1.endpoints import Reply, Request
from perception_r1.errors import EndpointError, Malformed, Refused
from perception_r1.evaluate.captions import described


class Describer:
    """Says so many words, or fails; asks for all requests before it answers, as a server with room does."""

    model = "stub"

    def __init__(self, *said: str | EndpointError) -> None:
        self.said, self.asked = said, list[Request]()

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | EndpointError]]:
        self.asked = list(requests)
        for number, said in reversed(list(enumerate(self.said[: len(self.asked)]))):
            yield number, Reply(said, 1, 1, 0.0) if isinstance(said, str) else said

    def close(self) -> None: ...


def twin(item: Item) -> Item:
    return replace(item, problem=replace(item.problem, id=f"{item.problem.id}-twin"))


def test_the_same_pictures_are_described_once_and_without_the_question() -> None:
    first, second = world.items(2, 0)
    model = Describer("one\n  line", "two")
    found = dict(described(model, [first, second, twin(first)], (), 64))
    assert found == {first.problem.id: "one line", second.problem.id: "two", f"{first.problem.id}-twin": "one line"}
    assert len(model.asked) == 2
    assert first.stratum not in json.dumps(model.asked[0].messages).casefold()


def test_what_is_known_or_has_no_picture_is_not_asked() -> None:
    first, second, third = world.items(3, 0)
    blind = replace(second, problem=replace(second.problem, images=()))
    model = Describer("said")
    assert dict(described(model, [first, blind, third], {first.problem.id}, 64)) == {third.problem.id: "said"}


def test_a_failure_and_an_empty_description_are_no_captions() -> None:
    first, second = world.items(2, 0)
    found = dict(described(Describer(Refused("no"), " "), [first, second, twin(second)], (), 64))
    assert isinstance(found[first.problem.id], Refused)
    assert all(isinstance(found[name], Malformed) for name in (second.problem.id, f"{second.problem.id}-twin"))
