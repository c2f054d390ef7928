"""Several responses to each item: is one of k right, and what do most of them say?"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from math import comb
from typing import Any

from perception_r1.evaluate.equality import equal
from perception_r1.evaluate.metrics import Metric, bootstrapped, grouped
from perception_r1.evaluate.reading import read

Row = Mapping[str, Any]


def sampled(rows: Sequence[Row]) -> list[Metric]:
    """pass@k for k = 1, 2, 4, … and the majority vote, over items whose samples are all known."""
    items: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        items[row["item"]].append(row)
    most = max((len(of) for of in items.values()), default=0)
    whole = [of for of in items.values() if len(of) == most and all(row["correct"] is not None for row in of)]
    if not whole:
        return []
    right: dict[str, list[int]] = defaultdict(list)  # of each group, how many samples of each item are
    for of in whole:
        right[of[0]["group"]].append(sum(bool(row["correct"]) for row in of))
    passed = [_passed(list(right.values()), most, k) for k in (1, 2, 4, 8, 16, 32, 64) if k <= most]
    votes = ((of[0]["group"], voted(of)) for of in whole)
    return [*passed, grouped(f"majority of {most}", ((group, bool(vote and vote["correct"])) for group, vote in votes))]


def _passed(groups: Sequence[Sequence[int]], n: int, k: int) -> Metric:
    def mean(some: Sequence[Sequence[int]]) -> float:
        chances = [pass_at(k, n, c) for group in some for c in group]
        return sum(chances) / len(chances)

    return replace(bootstrapped(f"pass@{k}", groups, mean), n=sum(map(len, groups)))


def pass_at(k: int, n: int, c: int) -> float:
    """The chance that one of k responses is right if c of n are (Chen et al., arXiv 2107.03374)."""
    return 1.0 - comb(n - c, k) / comb(n, k)


def voted(rows: Sequence[Row]) -> Row | None:
    """A response that gives the answer that most give; None where two answers have as many votes, or nobody answers."""
    camps: list[list[Row]] = []
    for row in rows:
        if row["value"] is None:
            continue
        camp = next((camp for camp in camps if _same(camp[0]["value"], row["value"])), None)
        if camp is None:
            camps.append([row])
        else:
            camp.append(row)
    sizes = Counter(len(camp) for camp in camps)
    largest = max(sizes, default=0)
    if not largest or sizes[largest] > 1:
        return None
    return next(camp[0] for camp in camps if len(camp) == largest)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold() or equal(read(one), read(other))
