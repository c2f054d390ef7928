"""HallusionBench: 1,129 yes-or-no questions about figures, some of them edited, and some without a figure.

category     "VD" or "VS"      subcategory   "illusion"      visual_input   "0": no picture
set_id       "0"               figure_id     "0"             question_id    "0"        all of them texts
question     "Is the right orange circle the same size as the left orange circle?"
gt_answer    "1" is yes, "0" is no              gt_answer_details, sample_note, filename, image
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.pictures import picture
from perception_r1.errors import BadProblem
from perception_r1.evaluate.metrics import Metric, all_right, by_stratum, grouped, labelled
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

GOLD = {"1": "yes", "0": "no", "": ""}
DATA = Dataset(
    name="hallusionbench",
    repo="lmms-lab/HallusionBench",
    revision="cd417161857aefb23d878d42cf1bb53aa9dd646f",
    parts=(Part("", "image", 951), Part("", "non_image", 178)),
    columns={
        "category": "string",
        "subcategory": "string",
        "visual_input": "string",
        "set_id": "string",
        "figure_id": "string",
        "question_id": "string",
        "question": "string",
        "gt_answer": "string",
    },
    optional={"image": "image", "filename": "string", "sample_note": "string", "gt_answer_details": "string"},
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows, those with a picture first; a set's stay together."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    said, blind = line.text("gt_answer"), line.part.split == "non_image"
    if said not in GOLD:
        raise BadProblem(f"{line.where}: gt_answer is {said!r}; expected 0 or 1")
    place = "-".join(line.text(key) for key in ("category", "subcategory", "set_id"))
    problem = Problem(
        id=f"hallusionbench-{line.part.split}-{line.number:04}",
        images=() if blind else (picture(line.row.get("image"), line.where),),
        question=("" if blind else MARK) + line.text("question"),
        answer=GOLD[said],
        answer_type="yes_no",
        source="HallusionBench",
        group=place,
        split="heldout",
    )
    figure = () if blind else (f"figure={place}-{line.text('figure_id')}",)
    labels = (*figure, f"question={place}-{line.text('question_id')}")
    return Item(problem, line.text("category"), labels=labels, imageless=blind)


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Answers right, figures of which every question is right, questions that are right of every figure; yes said.

    What is asked without a figure is of no figure, as in the official scorer.
    """

    def all_of(name: str, of: str) -> Metric:
        asked = [row for row in rows if labelled(row, of)]
        group = {labelled(row, of)[0]: row["group"] for row in asked}
        right = all_right(asked, lambda row: labelled(row, of)[0])
        return grouped(name, ((group[str(key)], known) for key, known in right.items()))

    said = ((row["group"], str(row["value"]).casefold().startswith(("yes", "true"))) for row in rows if row["value"])
    return [*by_stratum(rows), all_of("figures", "figure"), all_of("questions", "question"), grouped("said yes", said)]
