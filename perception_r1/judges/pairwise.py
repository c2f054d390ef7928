"""Which of two responses saw better? A response against a reference, asked in both orders.

    (preference,) = prefer(judge, [Pairing(response, reference, (("a1", "Bar A is 7."),))])
    preference.better        # "response", "reference", "same"; "unknown" where the judge gives no steady answer
    worth(preference)        # 1.0, 0.0, 0.5; None

A judge that prefers whichever comes first has no opinion: what it says of the two orders must agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from perception_r1.endpoints import Reply, Request
from perception_r1.errors import EndpointError
from perception_r1.judges.llm import Case, Judge
from perception_r1.judges.parse import object_of
from perception_r1.judges.prompt import rendered_pair

Better = Literal["response", "reference", "same", "unknown"]
_WORTH: dict[Better, float | None] = {"response": 1.0, "same": 0.5, "reference": 0.0, "unknown": None}
_SAID: dict[str, tuple[Better, Better]] = {  # as the response stands first, and second
    "first": ("response", "reference"),
    "second": ("reference", "response"),
    "same": ("same", "same"),
}


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two responses to one problem, and the (id, text) of its annotations."""

    response: str
    reference: str
    annotations: tuple[tuple[str, str], ...]
    truncated: bool = False  # the response is known to have been cut off


@dataclass(frozen=True, slots=True)
class Preference:
    """Which one is better, and who decided it, or why it is unknown."""

    better: Better
    decided_by: str


def prefer(judge: Judge, pairings: Sequence[Pairing]) -> list[Preference]:
    """A preference for each pairing, in their order; two requests each, unless both say the same."""
    parts = [_parts(judge, pairing) for pairing in pairings]
    open_ones = [number for number, (one, two) in enumerate(parts) if one != two]
    asked = [(number, swapped) for number in open_ones for swapped in (False, True)]
    told: dict[tuple[int, bool], tuple[Better, str]] = {}
    requests = (_request(judge, pairings[number], parts[number], swapped) for number, swapped in asked)
    for place, reply in judge.endpoint.ask(requests):
        judge.tally.meter.answered(reply)
        told[asked[place]] = _read(reply, asked[place][1])
    missing: tuple[Better, str] = ("unknown", "the endpoint gave no reply")
    return [
        _agreed(told.get((number, False), missing), told.get((number, True), missing))
        if one != two
        else Preference("same", "rule")
        for number, (one, two) in enumerate(parts)
    ]


def worth(preference: Preference) -> float | None:
    """The reward: 1 for a response that is better than its reference, 0.5 for one as good; None if it is unknown."""
    return _WORTH[preference.better]


def _parts(judge: Judge, pairing: Pairing) -> tuple[str, str]:
    cases = (Case(pairing.response, (), pairing.truncated), Case(pairing.reference, ()))
    one, two = (judge.part(case) or "" for case in cases)
    return one, two


def _request(judge: Judge, pairing: Pairing, parts: tuple[str, str], swapped: bool) -> Request:
    facts = [text for _, text in pairing.annotations]
    return rendered_pair(facts, *(parts[::-1] if swapped else parts), judge.max_tokens)


def _read(reply: Reply | EndpointError, swapped: bool) -> tuple[Better, str]:
    """What a reply says of the response, or why it says nothing."""
    if isinstance(reply, EndpointError):
        return "unknown", f"{type(reply).__name__}: {reply}"
    said = object_of(reply.text).get("better")
    known = _SAID.get(said) if isinstance(said, str) else None
    return (known[swapped], "judge") if known else ("unknown", "the judge's reply names neither")


def _agreed(one: tuple[Better, str], two: tuple[Better, str]) -> Preference:
    if "unknown" in (one[0], two[0]):
        return Preference("unknown", one[1] if one[0] == "unknown" else two[1])
    return Preference(*one) if one == two else Preference("unknown", "the judge's preference follows the order")
