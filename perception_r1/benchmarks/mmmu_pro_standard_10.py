"""MMMU-Pro, standard form with ten options: the same 1,730 questions as with four, harder to guess.

id        "test_History_1"
options   "['...', '...', ... ten of them]"          answer   "J"
"""

from collections.abc import Iterator

from perception_r1.benchmarks import mmmu
from perception_r1.benchmarks.dataset import Dataset, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.mmmu_pro_standard_4 import COLUMNS, standard_item
from perception_r1.sections import PINNED, Data

DATA = Dataset(
    name="mmmu_pro_standard_10",
    repo="MMMU/MMMU_Pro",
    revision="563f3e84bb3b90893083a1f039cfa13077f2302b",
    parts=(Part("standard (10 options)", "test", 1730),),
    columns=COLUMNS,
)

read, grade, metrics = nothing_known, by_type, mmmu.metrics


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, standard_item, limit, seed, data)
