"""Your own questions without pictures: has training for seeing cost a model its language?

    id        "gsm8k-17"
    question  "Natalia sold clips to 48 of her friends ... How many clips did she sell altogether?"
    answer    "72"
    choices   ["yes", "no"], where there are some

The rows come from a Parquet or JSONL file that you name: GSM8K, TruthfulQA (mc1), ETHICS are published in many forms.
Compared before and after training like every benchmark, item by item. No row may have a picture.
"""

from collections.abc import Iterator

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import LETTERS, check_letter
from perception_r1.errors import BadProblem
from perception_r1.evaluate.grading import infer_type
from perception_r1.evaluate.metrics import by_stratum
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

DATA = Dataset(
    name="text_only",
    repo="",
    parts=(Part("", "test", 0),),
    columns={"id": "string", "question": "string", "answer": "string"},
    optional={"choices": "list<string>", "task": "string"},
)

read, grade, metrics = nothing_known, by_type, by_stratum


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    question, answer, choices = line.text("question"), line.text("answer"), line.texts("choices")
    if MARK in question or any(key.startswith("image") for key, value in line.row.items() if value):
        raise BadProblem(f"{line.where}: it has a picture; text_only asks without one")
    if answer in choices and answer not in LETTERS[: len(choices)]:
        answer = LETTERS[choices.index(answer)]
    check_letter(answer, choices, line.where)
    problem = Problem(
        id=line.text("id"),
        images=(),
        question=question,
        answer=answer,
        answer_type="letter" if choices else infer_type(answer),
        source=line.text("task") or "text",
        group=line.text("id"),
        split="heldout",
        choices=choices,
    )
    return Item(problem, problem.source, imageless=True)
