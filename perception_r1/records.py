"""The values that cross the border of a stage, and the closed sets that they are made of."""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "heldout"]
AnswerType = Literal["integer", "yes_no", "letter"]


@dataclass(frozen=True, slots=True)
class Problem:
    """An image problem. `images` are encoded pictures, in the order of the <image> marks in `question`."""

    id: str
    images: tuple[bytes, ...]
    question: str
    answer: str
    answer_type: AnswerType
    source: str
    group: str  # problems of one group share an image: they are one cluster in every test
    split: Split
    choices: tuple[str, ...] = ()
