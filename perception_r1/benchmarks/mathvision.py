r"""MathVision: 3,040 competition problems of 16 subjects and 5 levels.

id             "4"
question       "Which bike is most expensive?\n<image1>"
options        ["A", "B", "C", "D", "E"]; empty where the answer is free
image          "images/4.jpg"    decoded_image   one picture, also of questions that mention several
answer         "A", or "27"
level          1 to 5            subject         "arithmetic"
solution       null
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import check_letter
from perception_r1.benchmarks.pictures import picture, placed
from perception_r1.evaluate.grading import infer_type
from perception_r1.evaluate.metrics import Metric, accuracy, by, by_stratum, labelled
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

FIRST = re.compile(r"<image(1)>")  # the others are parts of the same merged picture
DATA = Dataset(
    name="mathvision",
    repo="MathLLMs/MathVision",
    parts=(Part("", "test", 3040),),
    others={"testmini": (Part("", "testmini", 304),)},
    columns={
        "id": "string",
        "question": "string",
        "options": "list<string>",
        "image": "string",
        "decoded_image": "image",
        "answer": "string",
        "solution": "string",
        "level": "int64",
        "subject": "string",
    },
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    choices, answer = line.texts("options"), line.text("answer")
    check_letter(answer, choices, line.where)
    shown = picture(line.row["decoded_image"], line.where)
    question, images = placed(line.text("question"), {1: shown}, FIRST, line.where)
    problem = Problem(
        id=f"mathvision-{line.text('id')}",
        images=images,
        question=re.sub(r"<image(\d+)>", r"(image \1)", question),
        answer=answer,
        answer_type="letter" if choices else infer_type(answer),
        source="MathVision",
        group=line.text("id"),
        split="heldout",
        choices=choices,
    )
    return Item(problem, line.text("subject"), labels=(f"level={line.text('level')}",))


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Accuracy over all, by subject and by level."""
    levels = by(rows, lambda row: labelled(row, "level"))
    return by_stratum(rows) + [accuracy(f"level {level}", of) for level, of in levels.items()]
