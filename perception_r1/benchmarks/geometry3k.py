r"""Geometry3K's test split: 601 diagrams with one question each, in the form that RL work uses.

    images    [one diagram]
    problem   <image>Find x.
    answer    2 \sqrt { 221 }        (LaTeX without delimiters: the grader reads it as what it is)

Nothing is known of the pictures, so that nothing is said about seeing.
"""

import hashlib
import re
from collections.abc import Iterator

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.pictures import picture
from perception_r1.errors import BadProblem
from perception_r1.evaluate.grading import infer_type
from perception_r1.evaluate.metrics import by_stratum
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

DATA = Dataset(
    name="geometry3k",
    repo="hiyouga/geometry3k",
    revision="fd21e533e1e50d0662a2bf7b223e60511bd5f8b7",
    parts=(Part("", "test", 601),),
    columns={"images": "images", "problem": "string", "answer": "string"},
)

read, grade, metrics = nothing_known, by_type, by_stratum


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows; those of one diagram stay together."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    images = tuple(picture(value, f"{line.where}, image {n}") for n, value in enumerate(line.row["images"] or ()))
    question, answer = line.text("problem"), line.text("answer")
    marks = question.count(MARK)
    if marks not in (0, len(images)):
        raise BadProblem(f"{line.where}: {marks} {MARK} marks for {len(images)} images")
    problem = Problem(
        id=f"geometry3k-{line.number:06}",
        images=images,
        question=question if marks else MARK * len(images) + question,
        answer=answer,
        answer_type=infer_type(answer),
        source="Geometry3K",
        group=hashlib.sha256(b"".join(images)).hexdigest()[:16],
        split="heldout",
    )
    return Item(problem, "surd" if re.search(r"sqrt|pi|frac", answer) else problem.answer_type)
