"""Several training runs asked the same items: chance comes from the items and from the runs, and crosses."""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from perception_r1.compare.checks import Numbers, as_array, between, labels


@dataclass(frozen=True)
class ItemSeedDifference:
    """`seed_sd` is the standard deviation of the seeds' differences; `se` and `df` are those of the interval."""

    difference: float
    seed_sd: float
    se: float
    df: float
    low: float
    high: float
    pvalue: float


def item_seed_difference(
    differences: Any, groups: Iterable[Hashable] | None = None, alpha: float = 0.05
) -> ItemSeedDifference:
    """The mean of differences (rows items, columns seeds) with both chances in its interval: other items, other seeds.

    The crossed random-effects model: the variance of the mean is (MS_items + MS_seeds - MS_rest) / (items x seeds), no
    component below 0, with Satterthwaite's degrees of freedom; the interval is never narrower than the t interval over
    the seeds alone, as two or three seeds may by luck show no spread (bench/results/compare.md has its size). Items
    that belong together are given as `groups`, which are then the unit. Raises ValueError for a single seed, a single
    item or group, and where nothing varies.
    """
    values, alpha = as_array(differences, "differences"), between(alpha, "alpha")
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"differences must have rows (items) and columns (seeds), 2 of each; got shape {values.shape}")
    codes = np.arange(len(values)) if groups is None else labels(groups, "groups", len(values))
    if (units := int(codes.max()) + 1) < 2:
        raise ValueError("groups must name at least 2 groups: nothing is known of the spread between them")
    scale = float(np.abs(values).max()) or 1.0  # what is squared below neither overflows nor vanishes
    values = values / scale
    mean, seeds, seed_sd = float(values.mean()), values.shape[1], float(values.mean(axis=0).std(ddof=1))
    chances = [_standard_error(values, codes, units), (seed_sd / math.sqrt(seeds), seeds - 1.0)]
    if chances[0][0] < 1e-12:
        raise ValueError("the differences are all alike: no interval can be told from them")
    se, df = max(chances, key=lambda chance: chance[0] * float(-special.stdtrit(chance[1], alpha / 2)))
    half = float(-special.stdtrit(df, alpha / 2)) * se
    p = max(2 * float(special.stdtr(df, -abs(mean) / se)) for se, df in chances if se > 1e-12)
    low, high = scale * (mean - half), scale * (mean + half)
    return ItemSeedDifference(scale * mean, scale * seed_sd, scale * se, df, low, high, p)


def _standard_error(values: Numbers, codes: Any, units: int) -> tuple[float, float]:
    """The standard error of the mean and its degrees of freedom, from what varies between units, seeds, and both."""
    items, seeds = values.shape
    sizes = np.bincount(codes, minlength=units).astype(np.float64)
    sums = np.stack([np.bincount(codes, column, minlength=units) for column in values.T], axis=1)
    residuals = sums - sizes[:, None] * values.mean()
    of_unit, of_seed = residuals.sum(axis=1), residuals.sum(axis=0)
    rest = residuals - of_unit[:, None] / seeds - sizes[:, None] * of_seed[None, :] / items
    dfs = np.array([units - 1, seeds - 1, (units - 1) * (seeds - 1)], dtype=np.float64)
    squares = np.array([(of_unit**2).sum() * units, (of_seed**2).sum() * seeds, (rest**2).sum() * units * seeds])
    parts = squares / dfs / (items * seeds) ** 2  # each mean square over items x seeds, where groups are single items
    noise = parts[2]
    variance = max(parts[0], noise) + max(parts[1], noise) - noise
    spread = float((parts**2 / dfs).sum())
    least = float(dfs[:2].min())
    return math.sqrt(variance), max(least, float(variance**2 / spread)) if spread else least
