"""MMMU-Pro, standard form with four options: 1,730 questions of MMMU that a text model alone could not answer.

id        "test_History_1"
question  "... <image 1> ..."          options   "['...', '...', '...', '...']"
image_1, ... image_7                   answer    "C"
subject   "History"                    explanation, img_type, topic_difficulty
"""

from collections.abc import Iterator

from perception_r1.benchmarks import mmmu
from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.sections import PINNED, Data

COLUMNS = mmmu.COLUMNS | {"subject": "string"}
DATA = Dataset(
    name="mmmu_pro_standard_4",
    repo="MMMU/MMMU_Pro",
    revision="563f3e84bb3b90893083a1f039cfa13077f2302b",
    parts=(Part("standard (4 options)", "test", 1730),),
    columns=COLUMNS,
)

read, grade, metrics = nothing_known, by_type, mmmu.metrics


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, standard_item, limit, seed, data)


def standard_item(line: Line) -> Item:
    """A row of the standard form, with four options or with ten."""
    return mmmu.college_item(line, line.text("subject"))
