"""DynaMath: 501 seed questions in ten random variants each; what is robust is right in all of them.

id               "1"                   the seed question, in each of the splits sample_variant1 ... sample_variant10
question         "The plot below is the function f(x) = ..., what is f(2)?"
decoded_image    the picture           image   "images/seed1.png"
ground_truth     "3.142"               answer_type   "float", "multiple choice" or "text"
subject          "algebra"             knowledge_level   "high school"
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.pictures import picture
from perception_r1.errors import BadProblem
from perception_r1.evaluate.metrics import Metric, accuracy, bootstrapped, by, labelled, share
from perception_r1.prompt import MARK
from perception_r1.records import AnswerType, Problem
from perception_r1.sections import PINNED, Data

VARIANTS, SEEDS = 10, 501
TOLERANCE = 0.001  # absolute
KINDS: Mapping[str, AnswerType] = {"float": "float", "multiple choice": "letter", "text": "text"}
DATA = Dataset(
    name="dynamath",
    repo="DynaMath/DynaMath_Sample",
    parts=tuple(Part("", f"sample_variant{number}", SEEDS) for number in range(1, VARIANTS + 1)),
    columns={
        "id": "string",
        "question": "string",
        "decoded_image": "image",
        "ground_truth": "string",
        "answer_type": "string",
        "subject": "string",
        "knowledge_level": "string",
    },
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items, variant by variant; all variants of a seed question are drawn or none."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    variant = line.part.split.removeprefix("sample_variant")
    if (said := line.text("answer_type")) not in KINDS:
        raise BadProblem(f"{line.where}: answer_type is {said!r}; known: {', '.join(KINDS)}")
    problem = Problem(
        id=f"dynamath-{line.text('id')}-variant{variant}",
        images=(picture(line.row["decoded_image"], line.where),),
        question=f"{MARK}{line.text('question')}",
        answer=line.text("ground_truth"),
        answer_type=KINDS[said],
        source="DynaMath",
        group=line.text("id"),
        split="heldout",
    )
    labels = (f"variant={variant}", f"level={line.text('knowledge_level')}")
    return Item(problem, line.text("subject"), precision=TOLERANCE if said == "float" else None, labels=labels)


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """The average, the share of seed questions that are right in all ten variants, and the second by the first.

    A variant that is missing or unknown is wrong in the worst case and, for robustness, right in the average: neither
    score is higher for it.
    """
    seeds: dict[str, dict[str, bool | None]] = defaultdict(dict)
    for row in rows:
        seeds[row["group"]][labelled(row, "variant")[0]] = row["correct"]
    asked = [[*of.values(), *[None] * (VARIANTS - len(of))] for of in seeds.values()]
    asked += [[None] * VARIANTS] * (max(0, SEEDS - len(asked)) if whole else 0)
    found = [
        accuracy("accuracy", rows),
        share("worst case", map(all, asked)),
        bootstrapped("robustness", asked, _robustness),
        Metric(name="incomplete seed questions", value=float(sum(None in of for of in asked)), n=len(asked)),
    ]
    return found + [accuracy(name, of) for name, of in by(rows, lambda row: [row["stratum"]]).items()]


def _robustness(asked: Sequence[Sequence[bool | None]]) -> float | None:
    """Worst case by average; None where nothing is right."""
    right = sum(known is not False for of in asked for known in of)
    return sum(map(all, asked)) * VARIANTS / right if right else None
