"""How well k of n is known."""

import math
from dataclasses import dataclass

from scipy import special

from perception_r1.compare.checks import Interval, between, count, normal_quantile


@dataclass(frozen=True)
class ProportionCI:
    wilson: Interval
    clopper_pearson: Interval


def proportion_ci(k: int, n: int, alpha: float = 0.05) -> ProportionCI:
    """The score interval (right on average) and the exact one (never too narrow)."""
    k, n, alpha = count(k, "k"), count(n, "n", 1), between(alpha, "alpha")
    if k > n:
        raise ValueError(f"k must be at most n: {k:,} of {n:,}")
    return ProportionCI(wilson(k, n, alpha), Interval(exact_low(k, n, alpha), 1 - exact_low(n - k, n, alpha)))


def wilson(k: int, n: int, alpha: float) -> Interval:
    """Wilson's score interval (1927); its ends are exactly 0 and 1 where k is 0 or n."""
    z, p = normal_quantile(alpha), k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(centre - half if k else 0.0, centre + half if k < n else 1.0)


def exact_low(k: int, n: int, alpha: float) -> float:
    """The lower limit of Clopper and Pearson (1934)."""
    return float(special.betaincinv(k, n - k + 1, alpha / 2)) if k else 0.0
