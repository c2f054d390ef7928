"""Scores of one model on one benchmark under one condition, each with its interval and what it leaves out.

A row is a stored prediction. `correct` None is not known (a failed grading, a secret answer): such a row is left out of
a share and counted as failed. Where a group must be whole, an unknown or missing row never raises a score.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

Row = Mapping[str, Any]
Interval = Literal["", "Wilson", "t over groups", "normal over strata", "bootstrap over groups"]
Z = NormalDist().inv_cdf(0.975)
DRAWS = 2000  # of a bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One score with its 95 % interval; a value of None is not known."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0  # of what it is a share, or a mean
    interval: Interval = ""


def accuracy(name: str, rows: Iterable[Row]) -> Metric:
    """The share of right answers of those that are known; with groups of several items the interval is over groups."""
    return grouped(name, ((row["group"], bool(row["correct"])) for row in rows if row["correct"] is not None))


def grouped(name: str, truths: Iterable[tuple[Hashable, bool]]) -> Metric:
    """The share of things that are true, each with the group that it is of."""
    groups: dict[Hashable, list[bool]] = defaultdict(list)
    for group, truth in truths:
        groups[group].append(truth)
    return clustered(name, [(sum(group), len(group)) for group in groups.values()])


def clustered(name: str, groups: Sequence[tuple[int, int]]) -> Metric:
    """A share of items that come in groups of (right, all)."""
    right, n, k = sum(one for one, _ in groups), sum(size for _, size in groups), len(groups)
    if not n:
        return Metric(name=name, value=None)
    if k == n or right in (0, n) or k < 2:
        low, high = wilson(right if k == n else right * k / n, k)  # of as many items as there are groups
        return Metric(name=name, value=right / n, low=low, high=high, n=n, interval="Wilson")
    p = right / n
    squares = sum((one - size * p) ** 2 for one, size in groups)
    half = t_quantile(k - 1) * math.sqrt(k / (k - 1) * squares) / n
    return Metric(name=name, value=p, low=max(0.0, p - half), high=min(1.0, p + half), n=n, interval="t over groups")


def share(name: str, truths: Iterable[bool]) -> Metric:
    """The share of independent things that are true."""
    known = list(truths)
    if not known:
        return Metric(name=name, value=None)
    low, high = wilson(sum(known), len(known))
    return Metric(name=name, value=sum(known) / len(known), low=low, high=high, n=len(known), interval="Wilson")


def all_right(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Hashable, bool]:
    """Of each group whether every row of it is right; one that is not known makes it wrong."""
    groups: dict[Hashable, bool] = {}
    for row in rows:
        groups[key(row)] = groups.get(key(row), True) and row["correct"] is True
    return groups


def macro(name: str, parts: Sequence[Metric]) -> Metric:
    """The mean of several shares, each weighing the same; its interval is that of independent strata."""
    known = [part for part in parts if part.value is not None]
    if not known:
        return Metric(name=name, value=None)
    mean = sum(part.value or 0.0 for part in known) / len(known)
    # (x + 2) / (n + 4): a share of 0 or 1 is not known for certain
    near = [((part.value or 0.0) * part.n + 2) / (part.n + 4) for part in known]
    spread = sum(p * (1 - p) / (part.n + 4) for p, part in zip(near, known, strict=True))
    half = Z * math.sqrt(spread) / len(known)
    return Metric(
        name=name,
        value=mean,
        low=max(0.0, mean - half),
        high=min(1.0, mean + half),
        n=sum(part.n for part in known),
        interval="normal over strata",
    )


def bootstrapped(name: str, groups: Sequence[Any], value: Callable[[Sequence[Any]], float | None]) -> Metric:
    """A score of whole groups with a bootstrap interval over them, from a fixed seed."""
    import numpy as np

    found = value(groups)
    if found is None or len(groups) < 2:
        return Metric(name=name, value=found, n=len(groups))
    chance = np.random.default_rng(0)
    draws = [
        drawn
        for _ in range(DRAWS)
        if (drawn := value([groups[i] for i in chance.integers(0, len(groups), len(groups))])) is not None
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return Metric(
        name=name, value=found, low=float(low), high=float(high), n=len(groups), interval="bootstrap over groups"
    )


def wilson(right: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of 95 %."""
    p = right / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (centre - half if right else 0.0), (centre + half if right < n else 1.0)


def t_quantile(degrees: int) -> float:
    """The 97.5 % point of Student's t."""
    from scipy import special

    return float(special.stdtrit(degrees, 0.975))


def counts(rows: Sequence[Row]) -> list[Metric]:
    """How many responses there are, and how many of them answer nothing, were cut off, or could not be graded."""
    told = {
        "items": len(rows),
        "abstained": sum(row["status"] == "abstained" for row in rows),
        "truncated": sum(row["status"] == "truncated" for row in rows),
        "failed": sum(row["status"] == "judge_failed" for row in rows),
        "not graded": sum(row["correct"] is None for row in rows),
    }
    return [Metric(name=name, value=float(count), n=len(rows)) for name, count in told.items()]


def labelled(row: Row, key: str) -> list[str]:
    """The values of a label of a row; a row may have several."""
    return [label.partition("=")[2] for label in row["labels"] if label.startswith(f"{key}=")]


def by(rows: Sequence[Row], keys: Callable[[Row], Iterable[str]]) -> dict[str, list[Row]]:
    """The rows by each of their keys, in the order of the keys."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for key in keys(row):
            found[key].append(row)
    return dict(sorted(found.items()))


def by_stratum(rows: Sequence[Row], whole: bool = False) -> list[Metric]:
    """Accuracy over all items, and by the sort of question where there are several."""
    strata = by(rows, lambda row: [row["stratum"]])
    parts = [accuracy(stratum, of) for stratum, of in strata.items() if stratum]
    return [accuracy("accuracy", rows), *(parts if len(parts) > 1 else [])]
