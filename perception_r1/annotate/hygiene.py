"""What the extractor found, made clean: one row a fact, with its support, and the reason where it is dropped.

Facts that are said in several ways are merged. Then each step takes out what it finds among those that are left:
what the question states, what was concluded and not seen, what too few trajectories say, and numbers that contradict
each other. Support comes before contradiction: a slip of one trajectory shall not take the others' fact with it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perception_r1 import sections
from perception_r1.annotate.extract import Found
from perception_r1.annotate.statements import NUMBER, Key, Quantity, Words, key_of, words_of
from perception_r1.records import Annotation, FactType, Problem, Trajectory

CONCLUDED = re.compile(
    r"\b(?:therefore|thus|hence|so|since|because|consequently|implies|implying|follows|theorem|must be|subtract\w*|"
    r"calculat\w*|comput\w*|difference|sum of|add(?:s|ing)? up|we (?:get|find|know)|the answer|"
    r"by (?:the )?(?:definition|propert\w+))\b",
    re.IGNORECASE,
)
ARITHMETIC = re.compile(r"\d\s*[-+*/×÷·−]\s*\d[^=]*=|^\W*\d+(?:\.\d+)?\s*(?:[<>≤≥=]|\\[lg]eq?)\s*\d+(?:\.\d+)?\W*$")
KNOWLEDGE = re.compile(  # of things in general, not of this picture's
    r"(?:any|every|opposite|alternate|corresponding|vertical|adjacent|interior|exterior|base|consecutive)\b.*\b(?:is|are)\b",
    re.IGNORECASE,
)
QUOTED = re.compile(r"(?<!\w)(['\"])(?!\s).*?\1|“.*?”|‘.*?’")  # words in the picture conclude nothing
COMPARED = re.compile(
    r"\b(?:tall|long|short|larg|great|small|high|low|wid|bigg)(?:er|est)\b|\b(?:more|less|fewer) than\b|\bequally\b",
    re.IGNORECASE,
)
SENTENCES = re.compile(r"[.;?!](?!\d)")
CLAUSES = re.compile(r"[,:]|\b(?:if|given|where|when|with|such that)\b", re.IGNORECASE)
DOUBTS = re.compile(r"\s*(?:is|are|does|do|can|has|have)\b", re.IGNORECASE)  # a yes-or-no question gives nothing away
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
    kept: dict[str, int] = defaultdict(int)
    for trajectory in trajectories:
        kept[trajectory.problem] += not trajectory.dropped
    said: dict[str, list[Found]] = defaultdict(list)
    for statement in found:
        said[statement.problem].append(statement)
    steps = _steps(settings)
    annotations = []
    for problem in problems:
        facts = merged(said[problem.id])
        reasons = _reasons(problem, facts, steps)
        annotations += [
            Annotation(
                id=f"{problem.id}#{number}",
                problem=problem.id,
                text=fact.text,
                type=fact.type,
                support=len(fact.trajectories),
                trajectories=kept[problem.id],
                dropped=reasons.get(fact.key, ""),
                origin=origin,
            )
            for number, fact in enumerate(facts)
        ]
    return annotations


def merged(found: Sequence[Found]) -> list[Fact]:
    """The statements of one problem, those that say the same as one."""
    same: dict[Key, list[Found]] = defaultdict(list)
    for statement in found:
        same[key_of(statement.text)].append(statement)
    return [
        Fact(key, group[0].text, group[0].type, frozenset(one.trajectory for one in group))
        for key, group in same.items()
    ]


def _steps(settings: sections.Annotate) -> list[Step]:
    """The steps that are switched on, in their order."""
    steps: list[tuple[bool, Step]] = [
        (settings.drop_stated, stated),
        (settings.drop_deductions, deduced),
        (settings.min_support > 1, lambda _, facts: unsupported(facts, settings.min_support)),
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
    sentences = [said for said in SENTENCES.split(problem.question.replace("<image>", " ")) if not DOUBTS.match(said)]
    clauses = [
        part for said in sentences for part in CLAUSES.split(said) if not (ASKS.match(part) or DOUBTS.match(part))
    ]
    given = {key_of(part) for clause in clauses for part in re.split(r"\band\b", clause)}
    told = [set(words_of(clause)) for clause in clauses]
    whole = [words_of(said) for said in sentences]
    return {fact.key: "stated in the question" for fact in facts if _is_given(fact.key, given, told, whole)}


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


def deduced(problem: Problem, facts: list[Fact]) -> dict[Key, str]:
    """The facts that were concluded: by their words, by arithmetic, or by comparing known numbers."""
    numbers = [fact.key for fact in facts if isinstance(fact.key, Quantity)]
    known = {word for quantity in numbers for word in quantity.subject}
    return {fact.key: "deduction" for fact in facts if _is_concluded(fact) or _is_comparison(fact, numbers, known)}


def _is_concluded(fact: Fact) -> bool:
    text = QUOTED.sub("", fact.text)
    if isinstance(fact.key, Words) and KNOWLEDGE.match(text) and not _names(fact.key):
        return True
    return bool(CONCLUDED.search(text) or ARITHMETIC.search(text))


def _is_comparison(fact: Fact, numbers: list[Quantity], known: set[str]) -> bool:
    """ "A is taller than B" follows where the heights of A and B are known; elsewhere it must have been seen."""
    if isinstance(fact.key, Quantity) or len(numbers) < 2 or not COMPARED.search(fact.text):
        return False
    return bool(_names(fact.key)) and _names(fact.key) <= known


def _names(words: Words) -> set[str]:
    """The names of things: A, AB, ABC."""
    return {word for word in words.content if word.isupper()}


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
