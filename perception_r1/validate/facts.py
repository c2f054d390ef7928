"""What the gold set is made from: a problem's facts, and those whose number can be changed."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from perception_r1.records import Annotation, Problem, Trajectory

_NUMBERED = re.compile(
    r"(?P<subject>[^\n]*?\S)(?P<verb> is | equals | measures | ?= ?|: )"
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<tail>[^0-9\n]*)"
)
_NAME = re.compile(r"\b[A-Z]{1,6}\b")


@dataclass(frozen=True, slots=True)
class Fact:
    """An annotation; with subject, number and tail where it states a number that can be changed."""

    id: str
    text: str
    subject: str = ""  # "Bar A"
    verb: str = ""  # " is "
    number: str = ""  # "7"
    tail: str = ""  # " units"

    @property
    def sentence(self) -> str:
        """The fact as a sentence of a response."""
        return f"{self.text.rstrip('. ')}."

    def with_number(self, number: str) -> "Fact":
        """The same statement with another number."""
        return replace(self, text=f"{self.subject}{self.verb}{number}{self.tail}", number=number)

    def says(self, number: str, verb: str = "") -> str:
        """The fact's sentence with another number, or another verb before it."""
        return f"{self.subject}{verb or self.verb}{number}{self.tail}."


@dataclass(frozen=True, slots=True)
class Scene:
    """A problem with its facts, and what kept trajectories say about it."""

    problem: Problem
    facts: tuple[Fact, ...]
    thoughts: tuple[str, ...]

    @property
    def numbered(self) -> tuple[Fact, ...]:
        """The facts whose number can be changed."""
        return tuple(fact for fact in self.facts if fact.number)

    def respond(self, sentences: Iterable[str]) -> str:
        """A response of these sentences in the layout that is asked for, with the right answer."""
        return response(" ".join(sentences), self.problem.answer)


def response(thought: str, answer: str) -> str:
    """A response in the layout that is asked for."""
    return f"<think>{thought}</think>\n<answer>\\boxed{{{answer}}}</answer>"


def fact(id: str, text: str) -> Fact:
    """The fact that an annotation states."""
    found = _NUMBERED.fullmatch(text.strip().rstrip(". "))
    if not found or "\\" in text:
        return Fact(id, text.strip())
    return Fact(id, text.strip(), found["subject"], found["verb"], found["number"], found["tail"])


def names(text: str) -> frozenset[str]:
    """The capital names in a text, each with its letters in order, for AB may be called BA: A, AB, ABC."""
    return frozenset("".join(sorted(name)) for name in _NAME.findall(text))


def scenes(
    problems: Sequence[Problem], annotations: Sequence[Annotation], trajectories: Sequence[Trajectory]
) -> list[Scene]:
    """The problems that have facts to judge; of two facts about one subject only the first, for both cannot hold."""
    facts: dict[str, dict[str, Fact]] = {}
    for annotation in annotations:
        if not annotation.dropped:
            made = fact(annotation.id, annotation.text)
            facts.setdefault(annotation.problem, {}).setdefault((made.subject or made.sentence).casefold(), made)
    thoughts: dict[str, list[str]] = {}
    for trajectory in trajectories:
        if not trajectory.dropped and trajectory.correct:
            thoughts.setdefault(trajectory.problem, []).append(trajectory.text)
    return [
        Scene(problem, tuple(facts[problem.id].values()), tuple(thoughts.get(problem.id, ())))
        for problem in problems
        if problem.id in facts
    ]


def another(number: str, chance: random.Random) -> str:
    """A number near this one that is not this one, and not negative."""
    whole, point, decimals = number.partition(".")
    steps = [step for step in (-3, -2, -1, 1, 2, 3) if int(whole) + step >= 0]
    return f"{int(whole) + chance.choice(steps)}{point}{decimals}"
