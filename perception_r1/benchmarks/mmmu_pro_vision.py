"""MMMU-Pro, vision form: the same 1,730 questions with their ten options, as one picture each.

id       "test_History_1"
image    a screenshot or a photograph of question and options
options  "['...', '...', ...]"       known to the grader, never shown as text
answer   "J"                         subject   "History"
"""

from collections.abc import Iterator

from perception_r1.benchmarks import mmmu
from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import check_letter, literal
from perception_r1.benchmarks.pictures import picture
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

ASKED = "Answer the multiple-choice question that is shown in the picture with the letter of the right option."
DATA = Dataset(
    name="mmmu_pro_vision",
    repo="MMMU/MMMU_Pro",
    revision="563f3e84bb3b90893083a1f039cfa13077f2302b",
    parts=(Part("vision", "test", 1730),),
    columns={"id": "string", "image": "image", "options": "string", "answer": "string", "subject": "string"},
)

read, grade, metrics = nothing_known, by_type, mmmu.metrics


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    choices, answer, subject = literal(line.text("options"), line.where), line.text("answer"), line.text("subject")
    check_letter(answer, choices, line.where)
    problem = Problem(
        id=line.text("id"),
        images=(picture(line.row["image"], line.where),),
        question=f"{MARK}{ASKED}",
        answer=answer,
        answer_type="letter",
        source="MMMU",
        group=line.text("id"),
        split="heldout",
    )
    discipline = mmmu.DISCIPLINE_OF.get(subject, "other")
    return Item(problem, subject, choices=choices, labels=(f"discipline={discipline}",))
