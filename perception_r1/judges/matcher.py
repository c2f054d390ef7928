"""What needs no judge: a quantity and its value, plainly stated or plainly denied; anything less certain is left open.

    match("Bar A is 7.", "<think>The height of bar A is 7.</think>...").verdict     "supported"
    match("AB = 5", "<think>BA is 6 cm.</think>...").verdict                        "contradicted"
    match("Bar A is 7.", "<think>Bar A is either 5 or 7.</think>...")               None

What is certain is a quantity's name, a value and its unit, a relation of two names, a colour, a count, a place or a
comparison, in a sentence that is understood as a whole, in a text where nothing can take it back. `grammar.py` and
`sights.py` hold the sentences, `harmless.py` what may stand beside them.
"""

import re
from dataclasses import dataclass
from typing import Literal

from perception_r1.judges.claims import RELATIONS, Claim, Key, Reading, claim_of, read
from perception_r1.judges.grammar import CONCLUDES, EVERYTHING, HEDGES, NEGATIONS
from perception_r1.judges.harmless import tells_another
from perception_r1.judges.notation import Value, near
from perception_r1.judges.odds import at_odds
from perception_r1.judges.part import perception_part
from perception_r1.judges.sights import mentions

LISTED = 3  # so many different values for one quantity are a list, not a reading


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict that is certain, and the words that it rests on."""

    verdict: Literal["supported", "contradicted"]
    evidence: str


def match(annotation: str, response: str) -> Decision | None:
    """What a response's thoughts say about an annotation where that is certain, else None."""
    claim, part = claim_of(annotation), perception_part(response)
    return decide(claim, read(part)) if claim and part else None


def decide(claim: Claim, reading: Reading) -> Decision | None:
    """What a text says about a claim where that is certain, else None."""
    told = [said for said in reading.claims if said.key == claim.key]
    values = {said.value: said.evidence for said in told if said.affirmed}
    if len(values) >= LISTED:
        return Decision("contradicted", " ".join(values.values()))
    if not told or reading.doubtful or any(_mentions(claim.key, text) for text in reading.rest):
        return None
    if (
        len(values) > 1
        or at_odds(claim.key, reading.claims)
        or not all(_comparable(claim.unit, said.unit) for said in told)
    ):
        return None
    denied = {said.value: said.evidence for said in told if not said.affirmed}
    return _decided(claim, values, denied)


def _decided(claim: Claim, values: dict[Value, str], denied: dict[Value, str]) -> Decision | None:
    """The decision from the one value that was affirmed and all that were denied."""
    if claim.value in values:
        return None if claim.value in denied else Decision("supported", values[claim.value])
    if values:
        other = next(iter(values))
        return None if denied or near(claim.value, other) else Decision("contradicted", values[other])
    return Decision("contradicted", denied[claim.value]) if claim.value in denied else None


def _comparable(one: str, two: str) -> bool:
    """Whether two units are the same, or one of them was left out; 7 and 7 % are not, nor 7 and 70 pixels."""
    return one == two or ("" in (one, two) and not {"percent", "px"} & {one, two})


def _mentions(key: Key, text: str) -> bool:
    """Whether text that was not understood may say something about the quantity."""
    if (seen := mentions(key, text)) is not None:
        return seen or bool(EVERYTHING.search(text))
    if key[0] in RELATIONS:
        return all(re.search(rf"\b(?:{name}|{name[::-1]})\b", text) for name in key[1:])
    name = rf"{key[1]}|{key[1][::-1]}"
    named = rf"(?i:\b(?:bar|column)s? {name}\b)|\b(?:{name})\b" if key[0] == "bar" else rf"\b(?:{name})\b"
    tells = re.search(r"[0-9]", text) or NEGATIONS.search(text)
    if re.search(named, text):
        return bool(tells or HEDGES.search(text) or not CONCLUDES.search(text))
    return bool(tells) and bool(EVERYTHING.search(text) or not tells_another(text))
