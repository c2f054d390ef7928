r"""MMMU validation: 900 college questions of 30 subjects, with up to seven pictures in question and options.

id               "validation_Accounting_1"
question         "<image 1> Baxter Company has ... as shown. What is the ...?"
options          "['$6', '$7', '$8', '$9']"     a list as Python text, empty where the question is open
image_1, ...     the pictures, null where there are fewer
answer           "B"; of an open question "7.5", or "['7.5', '15/2']": any of them is right
question_type    "multiple-choice" or "open"
explanation, img_type, topic_difficulty, subfield
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import LETTERS, check_letter, lettered_lines, literal
from perception_r1.benchmarks.pictures import picture, placed
from perception_r1.evaluate.grading import infer_type
from perception_r1.evaluate.metrics import Metric, accuracy, by, by_stratum, labelled
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

DISCIPLINES = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": (
        "Basic_Medical_Science Clinical_Medicine Diagnostics_and_Laboratory_Medicine Pharmacy Public_Health"
    ),
    "Humanities and Social Science": "History Literature Psychology Sociology",
    "Tech and Engineering": (
        "Agriculture Architecture_and_Engineering Computer_Science Electronics Energy_and_Power Materials "
        "Mechanical_Engineering"
    ),
}
DISCIPLINE_OF = {subject: name for name, subjects in DISCIPLINES.items() for subject in subjects.split()}
MENTION = re.compile(r"<image (\d+)>")
PLACES = range(1, 8)
COLUMNS = {
    "id": "string",
    "question": "string",
    "options": "string",
    "explanation": "string",
    **{f"image_{place}": "image" for place in PLACES},
    "img_type": "string",
    "answer": "string",
    "topic_difficulty": "string",
}  # MMMU-Pro's standard form has them, too
DATA = Dataset(
    name="mmmu",
    repo="MMMU/MMMU",
    revision="98e6ac0cb9b7b2cd2c991b85a50762edc4aedc68",
    parts=tuple(Part(subject, "validation", 30) for subject in sorted(DISCIPLINE_OF)),
    others={"test": tuple(Part(subject, "test", 0) for subject in sorted(DISCIPLINE_OF))},
    secret=("test",),
    columns=COLUMNS | {"question_type": "string", "subfield": "string"},
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items, subject by subject."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    return college_item(line, line.part.config)


def college_item(line: Line, subject: str) -> Item:
    """A row of MMMU or of MMMU-Pro's standard form; options that are pictures stand in the question."""
    choices, golds = literal(line.text("options"), line.where), _golds(line)
    check_letter(golds[0], choices, line.where)
    shown = any(MENTION.search(choice) for choice in choices)
    asked = f"{line.text('question')}\n{lettered_lines(choices)}" if shown else line.text("question")
    question, images = placed(asked, college_pictures(line), MENTION, line.where)
    problem = Problem(
        id=line.text("id"),
        images=images,
        question=question,
        answer=golds[0],
        answer_type="letter" if choices else infer_type(golds[0]),
        source="MMMU",
        group=line.text("id"),
        split="heldout",
        choices=tuple(LETTERS[: len(choices)]) if shown else choices,
    )
    discipline = DISCIPLINE_OF.get(subject, "other")
    return Item(problem, subject, also=golds[1:], labels=(f"discipline={discipline}",), imageless=not images)


def college_pictures(line: Line) -> dict[int, bytes]:
    """The pictures of a row by their numbers."""
    there = {place: line.row.get(f"image_{place}") for place in PLACES}
    return {place: picture(value, f"{line.where}, image_{place}") for place, value in there.items() if value}


def _golds(line: Line) -> tuple[str, ...]:
    """The right answers; none is known of the test split, whose answers are "?"."""
    answer = line.text("answer")
    if answer.startswith("[") and line.text("question_type") == "open":
        return literal(answer, line.where)
    return ("" if answer == "?" else answer,)


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Accuracy over all items, by subject and by discipline; every item weighs the same."""
    disciplines = by(rows, lambda row: labelled(row, "discipline"))
    return by_stratum(rows) + [accuracy(name, of) for name, of in disciplines.items()]
