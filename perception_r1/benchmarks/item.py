"""What a benchmark is: a module whose docstring shows one real row, with `items`, `read`, `grade` and `metrics`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from perception_r1.evaluate.choices import Choices, lettered
from perception_r1.evaluate.extraction import Extraction, extract_answer
from perception_r1.evaluate.grading import Grade, graded
from perception_r1.evaluate.metrics import Metric
from perception_r1.records import FactVerdict, Problem
from perception_r1.sections import PINNED, Data

if TYPE_CHECKING:
    from perception_r1.benchmarks.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark, and what is known of its picture. An empty answer is one that is kept secret."""

    problem: Problem
    stratum: str  # the sort of question
    facts: tuple[str, ...] = ()  # what a right reading of the picture states; empty where nothing is known
    precision: float | None = None  # decimal places, or below 1 a tolerance; None: as many places as the gold shows
    beside: tuple[str, ...] = ()  # what is also true of the picture, though the question is not about it
    choices: tuple[str, ...] = ()  # the texts of the choices where the question or the picture lists them itself
    also: tuple[str, ...] = ()  # other answers that are as right
    labels: tuple[str, ...] = ()  # what metrics sort by beside the stratum: "subject=Math"
    caption: str = ""  # the picture in words, where there are some
    imageless: bool = False  # the question is asked without a picture

    @property
    def options(self) -> Choices | None:
        """The choices by their letters, wherever they are listed."""
        return lettered(self.choices or self.problem.choices) or None


class Benchmark(Protocol):
    """What every module of the table has."""

    @property
    def DATA(self) -> "Dataset | None":  # noqa: N802
        """Where its rows are; None if it draws them itself."""
        ...

    def items(self, limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
        """About `limit` items, whole groups drawn by the seed, or all of them if it is 0; always in the same order."""
        ...

    def read(self, response: str, item: Item) -> tuple[FactVerdict, ...]:
        """What the response's thoughts say of each fact; where they claim what is no fact, a contradicted claim."""
        ...

    def grade(self, response: str, item: Item) -> tuple[Extraction, Grade]:
        """The answer of a response and whether it is right."""
        ...

    def metrics(self, rows: Sequence[Mapping[str, Any]], whole: bool = ...) -> list[Metric]:
        """The scores of one model's predictions under one condition; `whole` if all items were asked."""
        ...


def stored_item(row: Mapping[str, Any]) -> Item:
    """What grading needs of an item, from a stored prediction: neither its question nor its pictures."""
    problem = Problem(row["item"], (), "", row["gold"], row["answer_type"], "", row["group"], "heldout")
    choices, also = tuple(row["choices"]), tuple(row["also"])
    return Item(problem, row["stratum"], precision=row["precision"], choices=choices, also=also)


def nothing_known(response: str, item: Item) -> tuple[FactVerdict, ...]:
    """No verdicts: no facts of the pictures are known."""
    return ()


def by_type(response: str, item: Item) -> tuple[Extraction, Grade]:
    """The grade by the type of the item's answer; any of several right answers will do."""
    problem, options = item.problem, item.options
    if not problem.answer:
        return secret(extract_answer(response, options))
    grades = [
        graded(response, gold, problem.answer_type, item.precision, options) for gold in (problem.answer, *item.also)
    ]
    return next((found for found in grades if found[1].correct), grades[0])


def secret(said: Extraction) -> tuple[Extraction, Grade]:
    """An answer that cannot be graded, since the right one is not published."""
    return said, Grade(False, said.status, "label hidden")
