"""What the extractor found, made clean: one row a fact, with its support, and the reason where it is dropped.

Facts that are said in several ways are merged. Then each step takes out what it finds among those that are left:
what the question states, what was concluded and not seen, what too few trajectories say, and numbers that contradict
each other. Support comes before contradiction: a slip of one trajectory shall not take the others' fact with it.
"""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from perception_r1 import sections
from perception_r1.annotate.context import Clause, answers, clauses, is_concluded, worked_out
from perception_r1.annotate.extract import Found
from perception_r1.annotate.statements import NUMBER, Key, Quantity, key_of, words_of
from perception_r1.annotate.wording import (
    BOUNDS,
    COMPARED,
    EQUATION,
    EXTREME,
    KNOWLEDGE,
    LABELLED,
    LAW,
    PARTS,
    QUOTED,
    RANKED,
    RESULT,
    SEES,
    SINCE,
    THUS,
)
from perception_r1.records import Annotation, FactType, Problem, Trajectory

SENTENCES = re.compile(r"[.;?!。](?!\d)")
CLAUSES = re.compile(
    r",|:(?!\s*\d)|\b(?:if|given|where|when|with|such that|sachant que|sapendo che|sabiendo que)\b", re.IGNORECASE
)
DOUBTS = re.compile(r"\s*(?:is|are|does|do|can|has|have)\b", re.IGNORECASE)  # a yes-or-no question gives nothing away
APPOSITION = re.compile(r"\s*(?:the|a|an)\b", re.IGNORECASE)
ARTICLE = re.compile(r"^\W*A (?=[a-z])")
NAMES = re.compile(r"\b[A-Z]{1,4}\b")
GENERAL = {45.0, 60.0, 90.0, 180.0, 360.0, 540.0, 720.0}
FEW = 12
LISTED = 2  # numbers, of which the largest is one
ASKS = re.compile(r"\s*(?:what|which|how|who|where|find|determine|calculate|compute|solve|choose)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fact:
    """Statements of one problem that say the same: the first wording, and the trajectories that say it."""

    key: Key
    text: str
    type: FactType
    trajectories: frozenset[str]


Step = Callable[[Problem, list[Fact]], dict[Key, str]]  # the reasons of the facts that it drops


def clean(
    problems: Sequence[Problem],
    trajectories: Sequence[Trajectory],
    found: Sequence[Found],
    settings: sections.Annotate,
    origin: str,
) -> list[Annotation]:
    """All facts of all problems in the order in which they were found; the dropped ones say why."""
    said: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in trajectories:
        if not trajectory.dropped:
            said[trajectory.problem].append(trajectory)
    stated_by: dict[str, list[Found]] = defaultdict(list)
    for statement in found:
        stated_by[statement.problem].append(statement)
    return [
        annotation
        for problem in problems
        for annotation in cleaned(problem, said[problem.id], stated_by[problem.id], settings, origin)
    ]


def cleaned(
    problem: Problem,
    kept: Sequence[Trajectory],
    found: Sequence[Found],
    settings: sections.Annotate,
    origin: str,
) -> list[Annotation]:
    """All facts of one problem in the order in which they were found; the dropped ones say why."""
    facts = merged(found)
    sources = len(kept) or len({one.trajectory for one in found})
    reasons = _reasons(problem, facts, _steps(settings, sources, kept))
    return [
        Annotation(
            id=f"{problem.id}#{number}",
            problem=problem.id,
            text=fact.text,
            type=fact.type,
            support=len(fact.trajectories),
            trajectories=sources,
            dropped=reasons.get(fact.key, ""),
            origin=origin,
        )
        for number, fact in enumerate(facts)
    ]


def merged(found: Sequence[Found]) -> list[Fact]:
    """The statements of one problem, those that say the same as one."""
    same: dict[Key, list[Found]] = defaultdict(list)
    for statement in found:
        same[key_of(statement.text)].append(statement)
    return [
        Fact(key, group[0].text, group[0].type, frozenset(one.trajectory for one in group))
        for key, group in same.items()
    ]


def _steps(settings: sections.Annotate, sources: int, kept: Sequence[Trajectory]) -> list[Step]:
    """The steps that are switched on, in their order."""
    least = max(settings.min_support, math.ceil(settings.min_share * sources))
    told = told_in({one.id: one.text for one in kept})
    steps: list[tuple[bool, Step]] = [
        (settings.drop_stated, stated),
        (settings.drop_deductions, lambda problem, facts: deduced(problem, facts, told)),
        (least > 1, lambda _, facts: unsupported(facts, least)),
        (settings.drop_contradictions, contradicting),
    ]
    return [step for wanted, step in steps if wanted]


def _reasons(problem: Problem, facts: list[Fact], steps: list[Step]) -> dict[Key, str]:
    reasons: dict[Key, str] = {}
    for step in steps:
        reasons |= step(problem, [fact for fact in facts if fact.key not in reasons])
    return reasons


def stated(problem: Problem, facts: list[Fact]) -> dict[Key, str]:
    """The facts that the question gives away; what it only asks is not given."""
    question = unicodedata.normalize("NFKC", problem.question.replace("<image>", " "))
    sentences = [said for said in SENTENCES.split(question) if not DOUBTS.match(said)]
    told = [clause for said in sentences for clause in _told(said)]
    given = {key_of(part) for clause in told for part in re.split(r"\band\b", clause)}
    words = [set(words_of(clause)) for clause in told]
    whole = [words_of(said) for said in (*sentences, *told)]
    return {fact.key: "stated in the question" for fact in facts if _is_given(fact.key, given, words, whole)}


def _told(sentence: str) -> Iterator[str]:
    """The clauses that give something; "Find EF, the midsegment of ABCD" says of EF what it is."""
    asked = ""
    for part in CLAUSES.split(sentence):
        if ASKS.match(part) or DOUBTS.match(part):
            asked = part
        elif asked and APPOSITION.match(part) and (names := NAMES.findall(asked)):
            yield f"{names[-1]} {part}"
        else:
            yield part


def _is_given(key: Key, given: set[Key], told: list[set[str]], sentences: list[tuple[str, ...]]) -> bool:
    """A number must be given to the very thing; other facts are given by a clause that has all of their words."""
    if isinstance(key, Quantity):
        return key in given or any(_is_the_only_number_of(key, words) for words in sentences)
    words = set(key.content)
    return bool(words) and any(words <= clause for clause in told)


def _is_the_only_number_of(quantity: Quantity, words: tuple[str, ...]) -> bool:
    """A sentence such as "circle O with radius 5": names the thing and no other number."""
    numbers = [float(word) for word in words if NUMBER.fullmatch(word)]
    return numbers == [quantity.number] and set(quantity.subject) <= set(words)


@dataclass(frozen=True, slots=True)
class Told:
    """A trajectory: its clauses, and the numbers of its answer."""

    clauses: list[Clause]
    ends: frozenset[float]


NOTHING = Told([], frozenset())


def told_in(texts: Mapping[str, str]) -> dict[str, Told]:
    """The trajectories, taken apart."""
    return {trajectory: Told(clauses(text), answers(text)) for trajectory, text in texts.items()}


def deduced(problem: Problem, facts: list[Fact], told: Mapping[str, Told]) -> dict[Key, str]:
    """The facts that were concluded: by their words, by how the trajectories came to them, or by comparing numbers."""
    numbers = [fact.key for fact in facts if isinstance(fact.key, Quantity)]
    known = {name for fact in facts if any(map(NUMBER.fullmatch, words_of(fact.text))) for name in _names(fact.key)}
    asked = frozenset(float(word) for word in words_of(problem.question) if NUMBER.fullmatch(word))
    made = {name: worked_out(one.clauses, asked, one.ends) for name, one in told.items()}
    return {
        fact.key: "deduction"
        for fact in facts
        if _says_so(fact, numbers) or _is_comparison(fact, known, numbers) or _came_to(fact, told, asked, made)
    }


def _says_so(fact: Fact, numbers: list[Quantity]) -> bool:
    """Whether the statement itself concludes, reckons, or knows."""
    text = QUOTED.sub("", fact.text)
    if (
        (KNOWLEDGE.search(text) or _is_whole(fact))
        and _may_be_general(fact)
        and not _names(key_of(ARTICLE.sub("", text)))
    ):
        return True
    if any(pattern.search(text) for pattern in (THUS, LAW, EQUATION, PARTS, BOUNDS)) or SINCE.search(text):
        return True
    if RESULT.search(text) and not LABELLED.search(text):
        return True
    if not EXTREME.search(text) or not isinstance(fact.key, Quantity):
        return False
    return any(other.number == fact.key.number for other in numbers if other != fact.key)


def _is_whole(fact: Fact) -> bool:
    """A sum of angles: what it is the sum of is no matter."""
    return fact.type in ("angle", "relation") and bool({"180", "360"} & set(words_of(fact.text)))


def _may_be_general(fact: Fact) -> bool:
    """Whether its number, if it has one, is one that things have by their nature: sides, corners, whole angles."""
    return not isinstance(fact.key, Quantity) or fact.key.number in GENERAL or abs(fact.key.number) <= FEW


def _came_to(
    fact: Fact, told: Mapping[str, Told], asked: frozenset[float], made: Mapping[str, frozenset[float]]
) -> bool:
    """Whether most of the trajectories that say it conclude it."""
    if SEES.search(fact.text):
        return False
    said = [(told.get(name, NOTHING), made.get(name, frozenset[float]())) for name in fact.trajectories]
    concluded = sum(is_concluded(fact.key, one.clauses, asked, one.ends, by_one) for one, by_one in said)
    return 2 * concluded > len(fact.trajectories)


def _is_comparison(fact: Fact, known: set[str], numbers: list[Quantity]) -> bool:
    """ "A is taller than B" follows where the heights of A and B are known; elsewhere it must have been seen."""
    if not COMPARED.search(fact.text):
        return False
    words = set(fact.key.subject if isinstance(fact.key, Quantity) else fact.key.content)
    if names := _names(fact.key):
        return names <= known and not isinstance(fact.key, Quantity)
    if not RANKED.search(fact.text):
        return False
    measured = [one for one in numbers if one != fact.key and set(one.subject) & words]
    return len(measured) > 1 or (bool(measured) and len(numbers) > LISTED)


def _names(key: Key) -> set[str]:
    """The names of things: A, AB, ABC."""
    words = key.subject if isinstance(key, Quantity) else key.content
    return {word for word in words if word.isupper()}


def unsupported(facts: list[Fact], least: int) -> dict[Key, str]:
    """The facts that too few trajectories state."""
    counts = {fact.key: len(fact.trajectories) for fact in facts}
    return {key: f"below min_support: {count} of {least}" for key, count in counts.items() if count < least}


def contradicting(problem: Problem, facts: list[Fact]) -> dict[Key, str]:
    """All facts that give one thing different numbers: which of them is right, nobody here can say."""
    numbers: dict[tuple[str, ...], list[Quantity]] = defaultdict(list)
    for fact in facts:
        if isinstance(fact.key, Quantity):
            numbers[fact.key.subject].append(fact.key)
    rivals = [group for group in numbers.values() if len(group) > 1]
    return {
        key: "contradiction: " + ", ".join(f"{number:g}" for number in sorted(one.number for one in group))
        for group in rivals
        for key in group
    }
