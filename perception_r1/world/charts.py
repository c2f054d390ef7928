"""Charts of three columns, with three sorts of questions, and the facts that a right reading states.

    id        heldout-000017-diff
    image     84 x 84 pixels: columns A, B, C of heights 1 to 9, in colours and widths that mean nothing
    question  <image>How much taller is bar C than bar A?
    answer    3
    facts     Bar A is 4. Bar C is 7.

`cmp` (two answers) and `max` (three) can be guessed; `diff` cannot. That difference is what the control rests on.
Everything follows from a seed, and a chart belongs to one split by a hash of what is drawn: splits share no image.
"""

import hashlib
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from perception_r1.records import AnswerType, Problem, Split

Question = Literal["cmp", "max", "diff"]
QUESTIONS: tuple[Question, ...] = get_args(Question)
BARS = ("A", "B", "C")

SIDE = 84  # 6 x 6 patches of 14 pixels, merged two by two: 9 image tokens
UNIT = 8  # pixels of height
FLOOR = 80
COLUMN = SIDE // len(BARS)
TALLEST = 9
WIDTHS = (10, 14, 18, 22)
COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#b7950b", "#7d3c98", "#d35400", "#117a65", "#2c3e50")
SPLIT_OF: tuple[Split, ...] = ("train",) * 8 + ("validation", "heldout")  # by the hash of what is drawn


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: a height, a colour and a width for each of the columns A, B and C."""

    heights: tuple[int, ...]
    colours: tuple[str, ...]
    widths: tuple[int, ...]

    @classmethod
    def drawn(cls, chance: random.Random) -> "Chart":
        """A chart at random; columns may be equally tall."""
        return cls(
            tuple(chance.randint(1, TALLEST) for _ in BARS),
            tuple(chance.choice(COLOURS) for _ in BARS),
            tuple(chance.choice(WIDTHS) for _ in BARS),
        )

    @property
    def split(self) -> Split:
        """The one split that may show this chart."""
        digest = hashlib.sha256(repr((self.heights, self.colours, self.widths)).encode()).digest()
        return SPLIT_OF[int.from_bytes(digest[:8]) % len(SPLIT_OF)]

    def image(self) -> Any:
        """The picture."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (SIDE, SIDE), "white")
        pen = ImageDraw.Draw(image)
        for place, (height, colour, width) in enumerate(zip(self.heights, self.colours, self.widths, strict=True)):
            left = place * COLUMN + (COLUMN - width) // 2
            pen.rectangle((left, FLOOR - height * UNIT, left + width - 1, FLOOR - 1), fill=colour)
        return image

    def png(self) -> bytes:
        """The picture as a file."""
        data = io.BytesIO()
        self.image().save(data, "PNG")
        return data.getvalue()

    def height(self, bar: str) -> int:
        """The height of a bar by its letter."""
        return self.heights[BARS.index(bar)]


@dataclass(frozen=True, slots=True)
class Task:
    """A question about a chart: the bars that it is about, what it asks, and what is right."""

    chart: Chart
    question: Question
    bars: tuple[str, ...]

    @property
    def text(self) -> str:
        """The question as it is asked."""
        if self.question == "max":
            return "Which bar is the tallest?"
        first, second = self.bars
        if self.question == "cmp":
            return f"Is bar {first} taller than bar {second}?"
        return f"How much taller is bar {first} than bar {second}?"

    @property
    def answer(self) -> str:
        """The right answer."""
        heights = [self.chart.height(bar) for bar in self.bars]
        if self.question == "max":
            return self.bars[heights.index(max(heights))]
        if self.question == "diff":
            return str(heights[0] - heights[1])
        return "yes" if heights[0] > heights[1] else "no"

    @property
    def facts(self) -> tuple[str, ...]:
        """What a right reading states: the height of each bar that the question is about."""
        return tuple(f"Bar {bar} is {self.chart.height(bar)}." for bar in sorted(self.bars))


def tasks(split: Split, count: int, seed: int, questions: tuple[Question, ...] = QUESTIONS) -> Iterator[Task]:
    """`count` tasks of a split, the questions in turn, each about a chart of its own."""
    chance = random.Random(f"{seed} {split} {questions}")
    seen: set[Chart] = set()
    for number in range(count):
        task = _task(chance, split, questions[number % len(questions)])
        while task.chart in seen or not _has_one_answer(task):
            task = _task(chance, split, task.question)
        seen.add(task.chart)
        yield task


def _task(chance: random.Random, split: Split, question: Question) -> Task:
    chart = Chart.drawn(chance)
    while chart.split != split:
        chart = Chart.drawn(chance)
    bars = BARS if question == "max" else tuple(chance.sample(BARS, 2))
    if question == "diff" and chart.height(bars[0]) < chart.height(bars[1]):
        bars = bars[::-1]
    return Task(chart, question, bars)


def _has_one_answer(task: Task) -> bool:
    """No ties: they would make "taller" and "tallest" a matter of opinion."""
    heights = sorted(task.chart.height(bar) for bar in task.bars)
    return heights[-1] != heights[-2]


ANSWER_TYPES: dict[Question, AnswerType] = {"cmp": "yes_no", "max": "letter", "diff": "integer"}


def problems(split: Split, count: int, seed: int, questions: tuple[Question, ...] = QUESTIONS) -> Iterator[Problem]:
    """The tasks as problems like any other's; the facts are not in them."""
    for number, task in enumerate(tasks(split, count, seed, questions)):
        yield Problem(
            id=f"{split}-{number:06}-{task.question}",
            images=(task.chart.png(),),
            question=f"<image>{task.text}",
            answer=task.answer,
            answer_type=ANSWER_TYPES[task.question],
            source="world",
            group=f"{split}-{number:06}",
            split=split,
            choices=BARS if task.question == "max" else (),
        )
