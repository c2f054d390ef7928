"""EMMA-mini: 100 questions of each of EMMA's four subjects, in rows of the same form.

pid   "math_1"      subject   "Math"      answer   "B"      type   "Multiple Choice"      options   ["...", ...]
"""

from collections.abc import Iterator

from perception_r1.benchmarks import emma
from perception_r1.benchmarks.dataset import Dataset, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.sections import PINNED, Data

DATA = Dataset(
    name="emma_mini",
    repo="luckychao/EMMA-mini",
    revision="6b9ae9a74733bb57f0b741213f8d0ec9ebae067a",
    parts=tuple(Part(subject, "test", 100) for subject in emma.SUBJECTS),
    columns=emma.COLUMNS,
)

read, grade, metrics = nothing_known, by_type, emma.metrics


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items, subject by subject."""
    return drawn(DATA, emma.item_of, limit, seed, data)
