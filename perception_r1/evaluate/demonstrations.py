"""Worked examples before the question (in-context learning): k of them, random or the most alike, with thoughts or not.

A bank is a JSONL file, {"id", "group", "question", "images": [base64], "answer", "response", "choices", "correct"}.
`response` is what the very model that is asked said to it, in its own format, so that example and answer look alike;
`correct` is how that was graded, and what shares a group with a question is never shown before it. `perception-r1 bank`
writes one. With k = 0 the prompt stays as it was.
"""

import base64
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from perception_r1.benchmarks.item import Item
from perception_r1.errors import ConfigError
from perception_r1.evaluate import grade_answer
from perception_r1.evaluate.grading import gold_letter
from perception_r1.evaluate.layout import outline
from perception_r1.prompt import MARK, Instruction, messages
from perception_r1.records import Prediction, Problem
from perception_r1.sections import Demonstrations

Before = tuple[tuple[Mapping[str, Any], ...], tuple[bytes, ...]]
NONE: Before = ((), ())


@dataclass(frozen=True, slots=True)
class Example:
    """A question with its pictures, its right answer, and what the model said to it."""

    id: str
    question: str
    images: tuple[bytes, ...]
    answer: str
    response: str
    choices: tuple[str, ...] = ()
    correct: bool | None = None  # as its benchmark graded it, where it did
    group: str = ""  # of its benchmark: another version of the problem, or a step of it, would give the answer away

    @property
    def right(self) -> bool:
        """Whether its response is."""
        return grade_answer(self.response, self.answer).correct if self.correct is None else self.correct

    def said(self, content: str) -> str:
        """What the example shows as the response: all of it, or the right answer alone, as the model sets answers."""
        if content == "rationale":
            return self.response
        boxed = f"\\boxed{{{self.answer}}}"
        return f"<answer>{boxed}</answer>" if not self.response or in_format(self.response) else boxed


def bank(settings: Demonstrations) -> list[Example]:
    """The examples that may be shown; none are read for k = 0."""
    if not settings.shots:
        return []
    path = Path(settings.bank)
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        examples = [_example(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"evaluate.demonstrations.bank: {path} holds no examples: {error!r}") from None
    shown = [one for one in examples if one.response or settings.content == "answer"]
    kept = [one for one in shown if one.right] if settings.only_right else shown
    if len(kept) <= settings.shots:
        raise ConfigError(
            f"evaluate.demonstrations: {settings.shots} shots need more than {len(kept)} examples in {path}"
        )
    return kept


def _example(row: Mapping[str, Any]) -> Example:
    return Example(
        id=str(row["id"]),
        question=str(row["question"]),
        images=tuple(base64.b64decode(image) for image in row.get("images") or ()),
        answer=str(row["answer"]),
        response=str(row.get("response") or ""),
        choices=tuple(row.get("choices") or ()),
        correct=row.get("correct"),
        group=str(row.get("group") or ""),
    )


def lines(rows: Iterable[Mapping[str, Any]], items: Iterable[Item]) -> Iterator[dict[str, Any]]:
    """The lines of a bank: what a model said to untouched items, greedily. Raises ConfigError where an item is missing.

    Left out is what cannot be shown: responses that were cut off or answer nothing, and answers that are secret.
    """
    told = {row["item"]: row for row in rows if row["condition"] == "full" and not row["sample"]}
    for item in items:
        row, problem = told.pop(item.problem.id, None), item.problem
        if row is None or row["status"] != "answered" or row["correct"] is None:
            continue
        if row["gold"] != problem.answer:
            raise ConfigError(
                f"item {problem.id} is another one than the model was asked: {row['gold']!r} was its answer"
            )
        yield {
            "id": problem.id,
            "group": problem.group,
            "question": problem.question,
            "images": [base64.b64encode(image).decode() for image in problem.images],
            "answer": (gold_letter(problem.answer, item.options) if item.options else None) or problem.answer,
            "response": row["response"],
            "choices": list(problem.choices),
            "correct": row["correct"],
        }
    if told:
        raise ConfigError(
            f"{len(told):,} items that the model was asked are not in the data, such as {next(iter(told))}"
        )


def before(settings: Demonstrations, examples: Sequence[Example], problem: Problem, instruction: Instruction) -> Before:
    """The messages of the examples that a problem is shown, and their pictures in order."""
    if not settings.shots:
        return NONE
    told: list[Mapping[str, Any]] = []
    pictures: list[bytes] = []
    for example in chosen(settings, examples, problem):
        told += messages(example.question, len(example.images), example.choices, instruction)
        told.append({"role": "assistant", "content": example.said(settings.content)})
        pictures += example.images
    return tuple(told), tuple(pictures)


def marked(made: Prediction, examples: Sequence[Example]) -> Prediction:
    """The prediction with a label that says whether it copies an example; as it was without examples, or a grade."""
    if not examples or made.correct is None:
        return made
    told = "yes" if not made.correct and copied(made.value, examples) else "no"
    return replace(made, labels=(*made.labels, f"copied={told}"))


def chosen(settings: Demonstrations, examples: Sequence[Example], problem: Problem) -> list[Example]:
    """The k examples, the most alike last, next to the question; never the question or its group, the same for a seed.

    Raises ConfigError where there are fewer than k.
    """
    if not settings.shots:
        return []
    others = [one for one in examples if not _same(one, problem)]
    if len(others) < settings.shots:
        raise ConfigError(
            f"evaluate.demonstrations: {settings.shots} shots, and {len(others)} of {len(examples)} examples are of "
            f"another problem than {problem.id}; take more of them, or fewer shots"
        )
    if settings.retriever == "random":
        return random.Random(f"{settings.seed} {problem.id}").sample(others, settings.shots)
    near = sorted(others, key=lambda one: (-_likeness(one, problem), one.id))
    return near[: settings.shots][::-1]


def _same(example: Example, problem: Problem) -> bool:
    """The same question, under another id, too, or one of its group."""
    if example.id == problem.id or example.group == problem.group != "":
        return True
    return _words(example.question) == _words(problem.question) and example.images == problem.images


def _likeness(example: Example, problem: Problem) -> float:
    """How much two questions share: words, and the look of their pictures."""
    return _jaccard(_words(example.question), _words(problem.question)) + _look(example.images, problem.images)


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


@lru_cache(maxsize=8192)
def _words(question: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", question.replace(MARK, " ").casefold()))


def _look(one: Sequence[bytes], other: Sequence[bytes]) -> float:
    """1 for first pictures of one perceptual hash, less for each bit that differs."""
    from perception_r1.evaluate.contamination import BITS, distance, perceptual_hash

    if not one or not other:
        return 0.0
    return 1.0 - distance(perceptual_hash(one[0]), perceptual_hash(other[0])) / BITS


def copied(value: str | None, examples: Sequence[Example]) -> bool:
    """Whether an answer is that of an example."""
    return value is not None and any(
        grade_answer(f"\\boxed{{{value}}}", example.answer).correct for example in examples
    )


def in_format(text: str) -> bool:
    """Whether a response has the layout that is asked for: a closed thought and an answer block."""
    parts = outline(text)
    return bool(parts.thoughts and parts.answers) and not parts.unclosed
