"""One contrast: from the outcomes of two models to a row with all that follows from them, by seed and over seeds."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from perception_r1.compare.clusters import clustered_mcnemar
from perception_r1.compare.contrast import Contrast, Plan
from perception_r1.compare.effect import conditional_odds_ratio, paired_difference_ci
from perception_r1.compare.mcnemar import mcnemar_exact, mcnemar_midp
from perception_r1.compare.pools import Codes, Marks, Pool
from perception_r1.compare.power import MOST_PAIRS, mcnemar_power, mcnemar_sample_size
from perception_r1.compare.seeds import item_seed_difference

NAMED = 5  # items in a refusal


class Pairs(NamedTuple):
    """The known pairs of a seed, and all items that it was asked."""

    asked: Codes
    item: Codes
    group: Codes
    first: NDArray[np.bool_]
    second: NDArray[np.bool_]
    left_out: int


def paired(pool: Pool, row: Contrast, first: Marks, second: Marks) -> Pairs:
    """The pairs of which both outcomes are known; raises ValueError where the two answered different items."""
    if not np.array_equal(first.item, second.item):
        sides = f"{row.first} and {row.second}, seed {row.seed},"
        raise ValueError(_differing(pool, sides, np.setxor1d(first.item, second.item)))
    if (apart := first.group != second.group).any():
        raise ValueError(
            f"{row.first} and {row.second}, seed {row.seed}: item {pool.items[first.item[apart][0]]!r} of "
            f"{row.benchmark} is of group {pool.groups[first.group[apart][0]]!r} in one and of "
            f"{pool.groups[second.group[apart][0]]!r} in the other"
        )
    known = (first.right >= 0) & (second.right >= 0)
    one, other = first.right[known] == 1, second.right[known] == 1
    return Pairs(first.item, first.item[known], first.group[known], one, other, int((~known).sum()))


def _differing(pool: Pool, sides: str, items: Codes) -> str:
    named = ", ".join(pool.items[code] for code in items[:NAMED])
    more = f" and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
    return f"{sides} must have answered the same items of {pool.benchmark}; in one only: {named}{more}"


def over_items(row: Contrast, pairs: Pairs, plan: Plan) -> Contrast:
    """The row with McNemar's test of one pair of models."""
    n = len(pairs.item)
    row = replace(row, n=n, items_left_out=pairs.left_out, effect=plan.effect)
    if not n:
        return row
    a, b, c, d = (int(count) for count in np.bincount(_cell(pairs), minlength=4))
    found = paired_difference_ci(a, c, b, d, row.alpha)  # b and c change places: second less first
    row = replace(
        row,
        a=a,
        b=b,
        c=c,
        d=d,
        first_rate=(a + b) / n,
        second_rate=(a + c) / n,
        difference=(c - b) / n,
        low=found.newcombe.low,
        high=found.newcombe.high,
        newcombe_low=found.newcombe.low,
        newcombe_high=found.newcombe.high,
        tango_low=found.tango.low,
        tango_high=found.tango.high,
        p_exact=mcnemar_exact(b, c).pvalue,
        p_midp=mcnemar_midp(b, c).pvalue,
        p=mcnemar_midp(b, c).pvalue,
    )
    return _planned(_clustered(_with_odds(row), pairs), plan)


def _cell(pairs: Pairs) -> NDArray[np.int64]:
    """0 to 3: both right, only the first, only the second, neither."""
    return 2 * (~pairs.first).astype(np.int64) + ~pairs.second


def _with_odds(row: Contrast) -> Contrast:
    if not row.b or not row.c:
        return row
    odds = conditional_odds_ratio(row.c, row.b, row.alpha)
    return replace(row, odds_ratio=odds.odds_ratio, odds_low=odds.exact_low, odds_high=odds.exact_high)


def _clustered(row: Contrast, pairs: Pairs) -> Contrast:
    """The row with groups, not items, as the unit of chance where they repeat; a single group tells nothing of it."""
    _, codes = np.unique(pairs.group, return_inverse=True)
    count = int(codes.max()) + 1
    if count == row.n:
        return row
    row = replace(row, clusters=count, p=None, low=None, high=None)
    if count < 2:
        return row
    cells = np.bincount(4 * codes + _cell(pairs), minlength=4 * count).reshape(count, 4)
    found = clustered_mcnemar(cells[:, [0, 2, 1, 3]].tolist(), row.alpha)
    # no group gains or loses: an interval of no width would claim certainty
    sure = found.cluster_se_difference > 0
    low, high = found.ci_t if sure else (row.newcombe_low, row.newcombe_high)
    independent = (found.difference**2, (row.b or 0) + (row.c or 0))
    variance = (independent[1] / row.n - independent[0]) / row.n
    return replace(
        row,
        low=low,
        high=high,
        p=found.obuchowski_pvalue,
        p_clustered=found.obuchowski_pvalue,
        clustered_low=low if sure else None,
        clustered_high=high if sure else None,
        design_effect=found.cluster_se_difference**2 / variance if variance > 1e-15 else None,
    )


def _planned(row: Contrast, plan: Plan) -> Contrast:
    """The row with what its n can find, and the n that the plan's power takes.

    Groups that repeat tell as much as fewer independent items do, by the design effect where it is above 1.
    """
    worth = max(1.0, row.design_effect or 1.0)
    differ = max(round(((row.b or 0) + (row.c or 0)) / row.n, 6), plan.effect)
    found = _power(max(1, round(row.n / worth)), differ, plan.effect, row.alpha)
    needed = _needed(differ, plan.effect, row.alpha, plan.power)
    return replace(row, power=found, needed=None if needed is None else math.ceil(needed * worth))


@lru_cache(maxsize=4096)
def _power(n: int, differ: float, effect: float, alpha: float) -> float | None:
    if n > MOST_PAIRS:
        return None
    return mcnemar_power(n, (differ - effect) / 2, (differ + effect) / 2, alpha).midp_test


@lru_cache(maxsize=4096)
def _needed(differ: float, effect: float, alpha: float, power: float) -> int | None:
    try:
        return mcnemar_sample_size((differ - effect) / 2, (differ + effect) / 2, alpha, power).exact_test
    except ValueError:  # more than a million pairs: no plan
        return None


# Over seeds


def over_seeds(rows: Sequence[Contrast], seeds: Sequence[Pairs], pool: Pool) -> Contrast | None:
    """The row over all seeds, from the items that are known in every one; None where there are fewer than two seeds."""
    if len(seeds) < 2:
        return None
    for row, pairs in zip(rows, seeds, strict=True):
        if not np.array_equal(pairs.asked, seeds[0].asked):
            sides = f"{row.first} and {row.second}: seeds {rows[0].seed} and {row.seed}"
            raise ValueError(_differing(pool, sides, np.setxor1d(pairs.asked, seeds[0].asked)))
    first, second, groups = known_in_all(seeds)
    if not len(groups):
        return None
    row = _blank(rows, first, second, sum(pairs.left_out for pairs in seeds))
    return _crossed(_among_seeds(row, (second - first).mean(axis=0)), second - first, groups)


def known_in_all(seeds: Sequence[Pairs]) -> tuple[NDArray[np.float64], NDArray[np.float64], Codes]:
    """Both sides' outcomes on the items that every seed knows (rows items, columns seeds), and the items' groups."""
    shared = seeds[0].item
    for pairs in seeds[1:]:
        shared = np.intersect1d(shared, pairs.item, assume_unique=True)
    first, second = (_matrix(seeds, shared, side) for side in ("first", "second"))
    return first, second, seeds[0].group[np.searchsorted(seeds[0].item, shared)]


def _matrix(seeds: Sequence[Pairs], shared: Codes, side: str) -> NDArray[np.float64]:
    columns = [getattr(pairs, side)[np.searchsorted(pairs.item, shared)] for pairs in seeds]
    return np.stack(columns, axis=1).astype(np.float64)


def _blank(rows: Sequence[Contrast], first: Any, second: Any, left_out: int) -> Contrast:
    """A row over seeds with its rates, and nothing that speaks of items alone."""
    row = rows[0]
    return Contrast(
        family=row.family,
        standing=row.standing,
        benchmark=row.benchmark,
        condition=row.condition,
        outcome=row.outcome,
        kind=row.kind,
        first=row.first,
        second=row.second,
        first_condition=row.first_condition,
        seed=None,
        test="item × seed",
        alpha=row.alpha,
        effect=row.effect,
        n=first.shape[1],
        first_rate=float(first.mean()),
        second_rate=float(second.mean()),
        difference=float((second - first).mean()),
        items_left_out=left_out,
    )


def _among_seeds(row: Contrast, differences: NDArray[np.float64]) -> Contrast:
    """The row with the spread of the seeds' differences and their t test; equal differences give no interval."""
    b, c = int((differences < 0).sum()), int((differences > 0).sum())
    sd = float(differences.std(ddof=1)) if np.ptp(differences) > 1e-12 else 0.0
    signs = replace(row, b=b, c=c, seed_sd=sd, p_exact=mcnemar_exact(b, c).pvalue, p_midp=mcnemar_midp(b, c).pvalue)
    if not sd:
        return signs
    mean, se, df = float(differences.mean()), sd / math.sqrt(row.n), row.n - 1
    half = float(-special.stdtrit(df, row.alpha / 2)) * se
    p = 2 * float(special.stdtr(df, -abs(mean) / se))
    return replace(signs, p_seeds=p, seeds_low=max(-1.0, mean - half), seeds_high=min(1.0, mean + half))


def _crossed(row: Contrast, differences: NDArray[np.float64], groups: Codes) -> Contrast:
    """The row with items and seeds as two crossed chances; None of it where nothing varies or one group is all."""
    repeats = len(np.unique(groups)) < len(groups)
    row = replace(row, clusters=len(np.unique(groups)) if repeats else None)
    try:
        found = item_seed_difference(differences, groups.tolist() if repeats else None, row.alpha)
    except ValueError:
        return row
    return replace(row, low=max(-1.0, found.low), high=min(1.0, found.high), p=found.pvalue)
