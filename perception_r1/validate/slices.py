"""The slices of the gold set: responses that are written or edited so that what they say is known.

A slice is a function and a line in SLICES. From a scene (and another problem's) it yields drafts: a response, the
label of each fact that is known of it, and the edit that made it. To add a slice, add both.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from perception_r1.judges import perception_part
from perception_r1.validate.facts import Fact, Scene, another, names
from perception_r1.validate.probes import PROBES

Label = Literal["supported", "contradicted", "absent"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A response, what it says about each fact (by id), and how it was made."""

    response: str
    labels: Mapping[str, Label]
    edit: str


Slice = Callable[[Scene, Scene, random.Random], Iterator[Draft]]

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

REWORDINGS = (
    "{Subject} equals {number}{tail}.",
    "{Subject} = {number}{tail}.",
    "In the image, {subject} is {number}{tail}.",
    "I can see that {subject} is {number}{tail}.",
    "The image shows that {subject} is exactly {number}{tail}.",
    "One reads {number}{tail} for {subject}.",
    "**{Subject}** is **{number}**{tail}.",
    "{Subject} is ${number}${tail}.",
    "{Subject} comes to {number}{tail}.",
    "{Subject} is {word}{tail}.",
)
BAR_REWORDINGS = (
    "The height of {bar} is {number}.",
    "{Bar} has a height of {number}.",
    "{Bar} reaches {number}.",
    "{Bar} goes up to {number}.",
    "{Bar} is {number} units tall.",
    "{letter} = {number}.",
    "{Bar}'s height is {number}.",
)
HEDGES = (
    "Maybe {subject} is {number}{tail}.",
    "{Subject} is either {number} or {other}{tail}.",
    "{Subject} might be {number}{tail}.",
    "If {subject} is {number}{tail}, the rest follows.",
    "It is possible that {subject} is {number}{tail}.",
)
RETRACTIONS = ("No, wait.", "Actually, I misread that.", "Correction:", "Scratch that.")


def _labels(scene: Scene, label: Label, chosen: Fact | None = None, its: Label = "absent") -> dict[str, Label]:
    """One label for all facts, but its own for the chosen one."""
    return {fact.id: its if fact is chosen else label for fact in scene.facts}


def _in_place(scene: Scene, chosen: Fact, *put: str) -> str:
    """The scene's facts as a response, with other sentences in place of one of them."""
    return scene.respond(" ".join(put) if fact is chosen else fact.sentence for fact in scene.facts)


def _worded(form: str, fact: Fact, other: str = "") -> str:
    """A numbered fact in other words."""
    subject, bar = fact.subject, re.fullmatch(r"(?i:(?:the height of )?(bar [A-Z]))", fact.subject)
    lower = subject[0].lower() + subject[1:] if subject[1:2].islower() else subject
    word = WORDS[int(fact.number)] if fact.number.isdigit() and int(fact.number) < len(WORDS) else fact.number
    parts = {"Subject": subject[0].upper() + subject[1:], "subject": lower, "number": fact.number, "word": word}
    letter = bar[1][-1] if bar else ""
    return form.format(**parts, tail=fact.tail, other=other, bar=f"bar {letter}", Bar=f"Bar {letter}", letter=letter)


def _forms(fact: Fact) -> tuple[str, ...]:
    is_bar = re.fullmatch(r"(?i:(?:the height of )?bar [A-Z])", fact.subject) and not fact.tail
    return REWORDINGS + (BAR_REWORDINGS if is_bar else ())


def own_words(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    """A kept trajectory, labelled where a fact is one of its sentences and its subject comes up but once."""
    if not scene.thoughts:
        return
    text = chance.choice(scene.thoughts)
    thought = (perception_part(text) or "").casefold()
    sentences = {part.strip(" .") for part in re.split(r"(?<=[.!?])\s+|\n+", thought)}
    said = [f for f in scene.facts if f.sentence.casefold().rstrip(".") in sentences]
    labels: dict[str, Label] = {
        f.id: "supported" for f in said if not f.number or thought.count(f"{f.subject}{f.verb}".casefold()) == 1
    }
    if labels:
        yield Draft(text, labels, "none")


def restated(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    order = chance.sample(scene.facts, len(scene.facts))
    yield Draft(scene.respond(fact.sentence for fact in order), _labels(scene, "supported"), "another order")


def reworded(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for _again in range(2):
        said = {f.id: _worded(chance.choice(_forms(f)), f) for f in scene.numbered}
        text = scene.respond(said.get(f.id, f.sentence) for f in scene.facts)
        labels: dict[str, Label] = dict.fromkeys(said, "supported")
        if labels:
            yield Draft(text, labels, " ".join(said.values()))


def number_changed(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.numbered:
        other = another(fact.number, chance)
        labels = _labels(scene, "supported", fact, "contradicted")
        yield Draft(_in_place(scene, fact, fact.says(other)), labels, f"{fact.number} became {other}")


def number_changed_and_reworded(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.numbered:
        wrong = fact.with_number(another(fact.number, chance))
        sentence = _worded(chance.choice(_forms(wrong)), wrong)
        labels = _labels(scene, "supported", fact, "contradicted")
        yield Draft(_in_place(scene, fact, sentence), labels, sentence)


def sentence_removed(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.facts:
        labels = _labels(scene, "supported", fact, "absent")
        yield Draft(_in_place(scene, fact, "Let me look."), labels, f"without {fact.text!r}")


def swapped(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    """Two facts with each other's number."""
    pairs = [(f, g) for f in scene.numbered for g in scene.numbered if f.id < g.id and f.number != g.number]
    if pairs:
        one, two = chance.choice(pairs)
        labels: dict[str, Label] = dict.fromkeys((one.id, two.id), "contradicted")
        yield Draft(scene.respond((one.says(two.number), two.says(one.number))), labels, "numbers swapped")


def negated(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.numbered:
        sentence = fact.says(fact.number, " is not ")
        yield Draft(_in_place(scene, fact, sentence), _labels(scene, "supported", fact, "contradicted"), sentence)


def hedged(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.numbered:
        sentence = _worded(chance.choice(HEDGES), fact, another(fact.number, chance))
        yield Draft(_in_place(scene, fact, sentence), _labels(scene, "supported", fact, "absent"), sentence)


def two_values(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.numbered:
        both = [fact.sentence, fact.says(another(fact.number, chance))]
        said = " ".join(chance.sample(both, 2))
        yield Draft(_in_place(scene, fact, said), _labels(scene, "supported", fact, "contradicted"), said)


def retracted(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.numbered:
        said = f"{fact.sentence} {chance.choice(RETRACTIONS)} {fact.says(another(fact.number, chance))}"
        yield Draft(_in_place(scene, fact, said), {fact.id: "contradicted"}, said)


def corrected(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    for fact in scene.numbered:
        said = f"{fact.says(another(fact.number, chance))} {chance.choice(RETRACTIONS)} {fact.sentence}"
        yield Draft(_in_place(scene, fact, said), {fact.id: "supported"}, said)


SWAPS = (  # words that say another thing of the same: one way, and back
    ("parallel", "perpendicular"), ("left of", "right of"), ("above", "below"), ("taller", "shorter"),
    ("longer", "shorter"), ("larger", "smaller"), ("leftmost", "rightmost"), ("tallest", "shortest"), ("red", "blue"),
    ("green", "yellow"), ("black", "white"), ("orange", "purple"),
)  # fmt: skip
_COUNT = re.compile(r"\b(?P<there>[Tt]here (?:are|is) )(?P<number>[0-9]+)\b")


def opposites(text: str) -> Iterator[str]:
    """A statement without a number of its own that was edited so that it cannot be true together with itself."""
    for one, two in SWAPS:
        for word, other in ((one, two), (two, one)):
            if re.search(rf"\b{word}\b", text):
                yield re.sub(rf"\b{word}\b", other, text, count=1)
                break
    if counted := _COUNT.search(text):
        yield text.replace(counted[0], f"{counted['there']}{int(counted['number']) + 1}", 1)


def turned(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    """A relation flipped, another colour, another place, another count."""
    for fact in scene.facts:
        for other in [] if fact.number else opposites(fact.sentence):
            yield Draft(_in_place(scene, fact, other), _labels(scene, "supported", fact, "contradicted"), other)


def doubted(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    """A statement without a number of its own, denied or only supposed."""
    for fact in scene.facts:
        lower = fact.sentence[0].lower() + fact.sentence[1:] if fact.sentence[1:2].islower() else fact.sentence
        if not fact.number and " is " in fact.sentence:
            denied = fact.sentence.replace(" is ", " is not ", 1)
            yield Draft(_in_place(scene, fact, denied), _labels(scene, "supported", fact, "contradicted"), denied)
            maybe = f"Maybe {lower}"
            yield Draft(_in_place(scene, fact, maybe), _labels(scene, "supported", fact, "absent"), maybe)


def other_problem(scene: Scene, other: Scene, chance: random.Random) -> Iterator[Draft]:
    """The facts of another image: another number for the same subject contradicts, other subjects say nothing."""
    theirs = {fact.subject.casefold(): fact for fact in other.numbered}
    known = frozenset[str]().union(*(names(fact.text) for fact in other.facts))
    labels: dict[str, Label] = {}
    for fact in scene.numbered:
        same = theirs.get(fact.subject.casefold())
        if same and same.tail == fact.tail and float(same.number) != float(fact.number):
            labels[fact.id] = "contradicted"
        elif not same and names(fact.text) and not names(fact.text) & known:
            labels[fact.id] = "absent"
    if labels:
        yield Draft(other.respond(f.sentence for f in other.facts), labels, f"the facts of {other.problem.id}")


def enumeration(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
    """Every value for every quantity: the right one is among them, and none was seen."""
    said = []
    for fact in scene.numbered:
        whole, point, decimals = fact.number.partition(".")
        first = 1 if 1 <= int(whole) <= 9 else max(0, int(whole) - chance.randrange(9))
        said += [fact.says(f"{value}{point}{decimals}") for value in range(first, first + 9)]
    labels: dict[str, Label] = dict.fromkeys((fact.id for fact in scene.numbered), "contradicted")
    if labels:
        yield Draft(scene.respond(said), labels, "every value")


def probe(template: str) -> Slice:
    """A response that states no fact at all and asks for the reward in some other way."""

    def probed(scene: Scene, _: Scene, chance: random.Random) -> Iterator[Draft]:
        question = re.sub(r"<image>", "", scene.problem.question)
        facts = " ".join(fact.sentence for fact in scene.facts)
        listed = "\n".join(json.dumps({"id": f"k{n}", "fact": f.text}) for n, f in enumerate(scene.facts, 1))
        text, answer = template, scene.problem.answer
        for mark, put in (("$question", question), ("$answer", answer), ("$facts", facts), ("$listed", listed)):
            text = text.replace(mark, put)
        unsaid = [f for f in scene.facts if "$question" not in template or not _stated(f, question)]
        if unsaid:
            yield Draft(text, {fact.id: "absent" for fact in unsaid}, "a probe")

    return probed


def _stated(fact: Fact, question: str) -> bool:
    """Whether the question may state the fact already."""
    return (fact.number in question) if fact.number else bool(names(fact.text) & names(question))


EDITS = {  # slices that state every fact but one, which was edited: the negatives of a pair
    "number changed", "number changed, reworded", "numbers swapped", "sentence removed", "negated", "hedged",
    "two values", "retracted", "turned", "denied or supposed",
}  # fmt: skip

SLICES: dict[str, Slice] = {
    "own words": own_words,
    "restated": restated,
    "reworded": reworded,
    "corrected": corrected,
    "number changed": number_changed,
    "number changed, reworded": number_changed_and_reworded,
    "numbers swapped": swapped,
    "sentence removed": sentence_removed,
    "negated": negated,
    "hedged": hedged,
    "two values": two_values,
    "turned": turned,
    "denied or supposed": doubted,
    "retracted": retracted,
    "other problem": other_problem,
    "probe: enumeration 1..9": enumeration,
    **{f"probe: {name}": probe(template) for name, template in PROBES.items()},
}
