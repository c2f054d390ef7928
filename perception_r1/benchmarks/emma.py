r"""EMMA: 2,788 questions of mathematics, physics, chemistry and coding that words alone do not solve.

pid            "math_1"
question       "<image_1> What completes the pattern?"
options        ["<image_2>", "<image_3>", "<image_4>"], or texts; empty where the question is open
answer         "B", or the text of an open one
image_1, ... image_5    null where there are fewer; 7 % of the questions have none
subject        "Math"                  category   "2D Transformation"; of Coding several, parted by ;
type           "Multiple Choice" or "Open-ended"
context        what stands before the question;   solution, task, source
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import LETTERS, check_letter, lettered_lines
from perception_r1.benchmarks.pictures import picture, placed
from perception_r1.evaluate.grading import infer_type
from perception_r1.evaluate.metrics import Metric, accuracy, by, by_stratum, labelled
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

MENTION = re.compile(r"<image_(\d+)>")
PLACES = range(1, 6)
DECIMALS = 2  # open answers are compared to two decimals
COLUMNS = {
    "pid": "string",
    "question": "string",
    "options": "list<string>",
    "answer": "string",
    **{f"image_{place}": "image" for place in PLACES},
    "solution": "string",
    "subject": "string",
    "task": "string",
    "category": "string",
    "source": "string",
    "type": "string",
    "context": "string",
}
SUBJECTS = {"Math": 892, "Physics": 156, "Chemistry": 1176, "Coding": 564}
DATA = Dataset(
    name="emma",
    repo="luckychao/EMMA",
    revision="6c87aec9048c489108170088e50b768646b5bcf9",
    parts=tuple(Part(subject, "test", rows) for subject, rows in SUBJECTS.items()),
    columns=COLUMNS,
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items, subject by subject."""
    return drawn(DATA, item_of, limit, seed, data)


def item_of(line: Line) -> Item:
    """A row of EMMA or EMMA-mini; options that are pictures stand in the question."""
    choices, answer, subject = line.texts("options"), line.text("answer"), line.text("subject") or line.part.config
    check_letter(answer, choices, line.where)
    shown = any(MENTION.search(choice) for choice in choices)
    parts = [line.text("context"), line.text("question"), lettered_lines(choices) if shown else ""]
    there = {place: line.row.get(f"image_{place}") for place in PLACES}
    pictures = {place: picture(value, f"{line.where}, image_{place}") for place, value in there.items() if value}
    question, images = placed("\n".join(filter(None, parts)), pictures, MENTION, line.where)
    problem = Problem(
        id=f"emma-{subject}-{line.text('pid')}",
        images=images,
        question=question,
        answer=answer,
        answer_type="letter" if choices else infer_type(answer),
        source=line.text("source") or "EMMA",
        group=f"{subject}-{line.text('pid')}",
        split="heldout",
        choices=tuple(LETTERS[: len(choices)]) if shown else choices,
    )
    labels = [f"category={name.strip()}" for name in line.text("category").split(";") if name.strip()]
    labels += [f"type={line.text('type')}", *([f"task={line.text('task')}"] if line.text("task") else [])]
    return Item(
        problem,
        subject,
        precision=None if choices or problem.answer_type == "integer" else DECIMALS,
        labels=tuple(labels),
        imageless=not images,
    )


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Accuracy over all items, by subject, by sort of answer, and by category, of which Coding rows have several."""
    sorts = by(rows, lambda row: labelled(row, "type"))
    categories = by(rows, lambda row: labelled(row, "category"))
    return by_stratum(rows) + [accuracy(name, of) for name, of in (*sorts.items(), *categories.items())]
