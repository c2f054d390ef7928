"""LogicVista: 448 puzzles of inductive, deductive, numerical, spatial and mechanical reasoning.

question   "Which figure completes the series? A ... B ... Select from A, B, C, D and E."
answer     "B", or "A, C": then both, in any order
image      the picture
skill      "inductive"
"""

import re
from collections.abc import Iterator
from string import ascii_uppercase

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, nothing_known
from perception_r1.benchmarks.pictures import picture
from perception_r1.evaluate.extraction import Extraction, extract_answer
from perception_r1.evaluate.grading import Grade
from perception_r1.evaluate.layout import outline
from perception_r1.evaluate.metrics import by_stratum
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

LETTERS = dict.fromkeys(ascii_uppercase[:8], "")
SEVERAL = re.compile(r"\(?[A-H]\)?(?:(?:\s*(?:,|;|&|and)\s*)+\(?[A-H]\)?)*\.?")
DATA = Dataset(
    name="logicvista",
    repo="lscpku/LogicVista",
    parts=(Part("", "test", 448),),
    columns={"question": "string", "answer": "string", "image": "image", "skill": "string"},
)

read, metrics = nothing_known, by_stratum


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    answer = ", ".join(sorted(set(re.findall(r"[A-H]", line.text("answer")))))
    problem = Problem(
        id=f"logicvista-{line.number:04}",
        images=(picture(line.row["image"], line.where),),
        question=f"{MARK}{line.text('question')}",
        answer=answer,
        answer_type="letter",
        source="LogicVista",
        group=str(line.number),
        split="heldout",
    )
    return Item(problem, line.text("skill"))


def grade(response: str, item: Item) -> tuple[Extraction, Grade]:
    """Right if the letters that are answered are those of the gold answer, no more and no fewer."""
    said = _letters(response)
    if said.value is None:
        return said, Grade(False, said.status, said.rule)
    wanted = set(re.findall(r"[A-H]", item.problem.answer))
    return said, Grade(set(re.findall(r"[A-H]", said.value)) == wanted, "answered", "letters")


def _letters(response: str) -> Extraction:
    """One letter by the rules for choices, else several that are the whole answer."""
    one, free = extract_answer(response, LETTERS), extract_answer(response)
    if one.value is not None and len(one.value) == 1:
        return one
    if free.value is not None and SEVERAL.fullmatch(free.value):
        return free
    alone = outline(response).visible.strip()
    if free.status == "abstained" and SEVERAL.fullmatch(alone):
        return Extraction("answered", alone.rstrip("."), "letters alone", None)
    return one if one.value is None else Extraction("abstained", None, f"{one.rule}: no letters", one.span)
