"""The plain statements of a text: who, what value, affirmed or denied; and all the text in which none was certain.

A statement counts only where a whole sentence was understood from its start: "the sum of A and B is 7" says nothing
about B, "bar A is 7 less than B" nothing about 7, and "if so, bar A is 7" nothing at all.
"""

import functools
import re
from dataclasses import dataclass
from fractions import Fraction

from perception_r1.judges.grammar import (
    DENIES,
    ENDS_SENTENCE,
    GOES_ON,
    HEDGES,
    LEADS,
    NEGATIONS,
    RELATES,
    SEPARATES,
    STATES,
)
from perception_r1.judges.harmless import harmless
from perception_r1.judges.notation import Value, plain, value
from perception_r1.judges.sights import sight

Key = tuple[str, ...]
RELATIONS = ("parallel", "perpendicular", "equal")
_HOLDS: Value = (Fraction(1), "holds")


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement: that a quantity has a value, or (affirmed = False) that it has not."""

    key: Key  # ("bar", "A"), ("segment", "AB"), ("angle", "ABC"), ("parallel", "AB", "CD"), ...
    value: Value
    unit: str
    affirmed: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text states for certain, what else it says, and whether that may put all of it in doubt."""

    claims: tuple[Claim, ...]
    rest: tuple[str, ...]
    doubtful: bool


def read(text: str) -> Reading:
    """The statements of a text."""
    written = plain(text)
    claims: list[Claim] = []
    rest: list[str] = []
    for sentence in filter(None, (part.strip() for part in ENDS_SENTENCE.split(written))):
        found, left = _sentence(sentence)  # completions of one prompt say the same sentences
        claims += found
        rest += [left] if left else []
    return Reading(tuple(claims), tuple(rest), not all(map(harmless, rest)))


@functools.lru_cache(1 << 14)
def claim_of(annotation: str) -> Claim | None:
    """The one thing that an annotation states, if it is one that can be compared."""
    reading = read(annotation)
    if len(reading.claims) != 1 or reading.rest or reading.doubtful:
        return None
    return reading.claims[0] if reading.claims[0].affirmed else None


@functools.lru_cache(1 << 14)
def _sentence(sentence: str) -> tuple[tuple[Claim, ...], str]:
    """The statements of a sentence and what is left of it; all of it where one part is not certain."""
    if HEDGES.search(sentence):
        return (), sentence
    if NEGATIONS.search(sentence):
        start = _leads(sentence)
        seen = sight(sentence, start)
        found = DENIES.match(sentence, start) or RELATES.match(sentence, start) or (seen and seen[0])
        whole = found and not sentence[found.end() :].strip(" .!;")
        return ((_claim(found, sentence),), "") if found and whole else ((), sentence)
    claims, left = _statements(sentence)
    return tuple(claims), left


def _statements(sentence: str) -> tuple[list[Claim], str]:
    """The statements that follow one another from the start of a sentence, and the conclusion drawn from them."""
    claims: list[Claim] = []
    start = 0
    while found := _stated(sentence, start):
        claims.append(_claim(found, found[0]))
        if not sentence[found.end() :].strip(" .!;,"):
            return claims, ""
        separates = SEPARATES.match(sentence, found.end())
        start = separates.end() if separates else found.end()
    return (claims, sentence[start:]) if claims and GOES_ON.match(sentence, start) else ([], sentence)


def _stated(sentence: str, start: int) -> re.Match[str] | None:
    """The statement that begins there, after words that lead to it or are its own: "the chart shows 5 bars"."""
    after = _leads(sentence, start)
    seen = sight(sentence, after) or sight(sentence, start)
    return STATES.match(sentence, after) or RELATES.match(sentence, after) or (seen[0] if seen else None)


def _leads(sentence: str, start: int = 0) -> int:
    """Where the statement begins after words that change nothing."""
    found = LEADS.match(sentence, start)
    return found.end() if found else start


_UNITS = {
    "degree": "degrees",
    "deg": "degrees",
    "inches": "inch",
    "feet": "ft",
    "unit": "",
    "units": "",
    "%": "percent",
}
_UNITS |= {"pixel": "px", "pixels": "px"}


def _claim(found: re.Match[str], evidence: str) -> Claim:
    parts = found.groupdict()
    if found.re not in (STATES, DENIES, RELATES) and (seen := sight(found.string, found.start())):
        key, quality, affirmed = seen[1]
        return Claim(key, quality, "", affirmed, evidence)
    if "how" in parts:
        how = (parts["how"] or parts["hows"]).removesuffix(" to")
        names = re.findall(r"\b[A-Z]{2,3}\b", found[0])
        key = (how if how in RELATIONS[:2] else "equal", *sorted(_symmetric(name) for name in names))
        return Claim(key, _HOLDS, "", not (parts["not"] or parts["nots"]), evidence)
    unit = (parts["unit"] or parts["percent"] or "").lower()
    affirmed = found.re is STATES
    return Claim(_key(parts), value(parts["number"]), _UNITS.get(unit, unit), affirmed, evidence)


def _key(parts: dict[str, str | None]) -> Key:
    if measure := parts["measure"]:
        return measure.lower(), "".join(sorted(parts["figure"] or ""))
    for kind in ("angle", "segment"):
        if name := parts[kind]:
            return kind, _symmetric(name)
    return "bar", (parts["bar"] or parts["bare"] or "").upper()


def _symmetric(name: str) -> str:
    """AB is BA, and angle ABC is angle CBA."""
    return min(name, name[::-1])
