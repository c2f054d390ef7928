r"""MMStar: 1,500 questions that need the picture, 250 of each of six abilities.

index        0
question     "Which option describe the object relationship ...?\nOptions: A: The suitcase is on the book., B: ..."
image        the picture
answer       "A"
category     "coarse perception"       l2_category   "image scene and topic", one of 18
meta_info    {"source": "MMBench", "split": "val", "image_path": "images/0.jpg"}
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import check_letter, choices_in
from perception_r1.benchmarks.pictures import picture
from perception_r1.evaluate.metrics import Metric, accuracy, by, labelled, macro
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

DATA = Dataset(
    name="mmstar",
    repo="Lin-Chen/MMStar",
    revision="bc98d668301da7b14f648724866e57302778ab27",
    parts=(Part("", "val", 1500),),
    columns={
        "index": "int64",
        "question": "string",
        "image": "image",
        "answer": "string",
        "category": "string",
        "l2_category": "string",
        "meta_info": "struct",
    },
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    question, answer = line.text("question"), line.text("answer")
    choices = choices_in(question.rpartition("Options:")[2])
    check_letter(answer, choices, line.where)
    problem = Problem(
        id=f"mmstar-{line.text('index')}",
        images=(picture(line.row["image"], line.where),),
        question=f"{MARK}{question}",
        answer=answer,
        answer_type="letter",
        source=str((line.row["meta_info"] or {}).get("source") or "MMStar"),
        group=line.text("index"),
        split="heldout",
    )
    return Item(problem, line.text("category"), choices=choices, labels=(f"ability={line.text('l2_category')}",))


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Accuracy over items, its mean over the 18 abilities, and by category and ability."""
    abilities = [accuracy(name, of) for name, of in by(rows, lambda row: labelled(row, "ability")).items()]
    categories = [accuracy(name, of) for name, of in by(rows, lambda row: [row["stratum"]]).items()]
    return [accuracy("accuracy", rows), macro("mean over abilities", abilities), *categories, *abilities]
