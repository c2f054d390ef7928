"""How large the difference is: intervals for p10 - p01 = (b - c) / n and for the odds b / c."""

import math
from dataclasses import dataclass

from perception_r1.compare.checks import Interval, between, count, normal_quantile
from perception_r1.compare.proportion import exact_low, wilson


@dataclass(frozen=True)
class PairedDifference:
    difference: float
    newcombe: Interval
    tango: Interval
    bonett_price: Interval
    wald: Interval


@dataclass(frozen=True)
class ConditionalOddsRatio:
    odds_ratio: float
    exact_low: float
    exact_high: float
    wald_low: float
    wald_high: float


def paired_difference_ci(a: int, b: int, c: int, d: int, alpha: float = 0.05) -> PairedDifference:
    """The first model's accuracy less the second's, with four intervals; none goes beyond -1 or 1."""
    a, b, c, d = (count(value, name) for value, name in zip((a, b, c, d), "abcd", strict=True))
    alpha, n = between(alpha, "alpha"), a + b + c + d
    if not n:
        raise ValueError("a + b + c + d must be at least 1: there is no pair to compare")
    return PairedDifference(
        (b - c) / n,
        _newcombe(a, b, c, d, alpha),
        _tango(b, c, n, normal_quantile(alpha)),
        _wald(b + 1, c + 1, n + 2, normal_quantile(alpha)),  # Bonett & Price (2012): add 1 to b, to c, 2 to n
        _wald(b, c, n, normal_quantile(alpha)),
    )


def conditional_odds_ratio(b: int, c: int, alpha: float = 0.05) -> ConditionalOddsRatio:
    """The odds b / c with exact limits (Clopper-Pearson on b of b + c) and Wald limits on the log scale.

    Raises ValueError where b or c is 0: the estimate or its log is infinite, and so are some of the limits. The share
    b / (b + c) says the same and is always finite: `proportion_ci(b, b + c)`.
    """
    b, c, alpha = count(b, "b"), count(c, "c"), between(alpha, "alpha")
    if not b or not c:
        raise ValueError(_why_infinite(b, c, alpha))
    low, high = exact_low(b, b + c, alpha), exact_low(c, b + c, alpha)
    half = normal_quantile(alpha) * math.sqrt(1 / b + 1 / c)
    wald = (math.exp(math.log(b / c) - half), math.exp(math.log(b / c) + half))
    return ConditionalOddsRatio(b / c, low / (1 - low), (1 - high) / high, *wald)


def _why_infinite(b: int, c: int, alpha: float) -> str:
    if not b and not c:
        return "b and c are both 0: the models never differ, so there is no odds ratio"
    low = exact_low(max(b, c), b + c, alpha)
    odds = low / (1 - low)
    limit = f"the odds ratio is infinite, above {odds:.4g}" if b else f"the odds ratio is 0, below {1 / odds:.4g}"
    return (
        f"b = {b:,} and c = {c:,}: {limit} with {1 - alpha:.4g} confidence (exact), and it has no Wald limits; "
        "proportion_ci(b, b + c) says the same and is finite"
    )


def _wald(b: int, c: int, n: int, z: float) -> Interval:
    """The simple interval of a mean of -1, 0 and 1."""
    difference = (b - c) / n
    half = z * math.sqrt(max(0.0, (b + c) / n - difference**2) / n)
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


def _newcombe(a: int, b: int, c: int, d: int, alpha: float) -> Interval:
    """Method 10 of Newcombe, Statist Med 17:2635 (1998): Wilson limits of the two accuracies, and their correlation."""
    n = a + b + c + d
    difference, phi = (b - c) / n, _correlation(a, b, c, d)
    one, other = (a + b) / n, (a + c) / n
    first, second = wilson(a + b, n, alpha), wilson(a + c, n, alpha)
    down = _hypotenuse(one - first.low, second.high - other, phi)
    up = _hypotenuse(first.high - one, other - second.low, phi)
    return Interval(max(-1.0, difference - down), min(1.0, difference + up))


def _hypotenuse(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def _correlation(a: int, b: int, c: int, d: int) -> float:
    """Newcombe's phi: a positive one is shrunk by a continuity correction."""
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if not margins:
        return 0.0
    product = a * d - b * c
    shrunk = max(product - (a + b + c + d) / 2, 0.0) if product > 0 else product
    return shrunk / math.sqrt(margins)


def _tango(b: int, c: int, n: int, z: float) -> Interval:
    """The differences that the score test of Tango, Statist Med 17:891 (1998) does not reject."""
    return Interval(_tango_low(b, c, n, z), -_tango_low(c, b, n, z))


def _tango_low(b: int, c: int, n: int, z: float) -> float:
    """The lower limit, by halving between -1 (always rejected, or the limit itself) and the estimate (never)."""
    out, inside = -1.0, (b - c) / n
    while (middle := (out + inside) / 2) not in (out, inside):
        if b - c - n * middle > z * math.sqrt(n * _null_variance(b, c, n, middle)):
            out = middle
        else:
            inside = middle
    return inside


def _null_variance(b: int, c: int, n: int, delta: float) -> float:
    """The variance p10 + p01 - delta**2 where p10 - p01 = delta, at the likeliest p01."""
    linear = (2 * n - b + c) * delta - b - c
    product = c * delta * (1 - delta)  # minus the constant term of 2n x**2 + linear x - product
    root = math.sqrt(max(0.0, linear * linear + 8 * n * product))
    p01 = (root - linear) / (4 * n) if linear <= 0 else 2 * product / (root + linear)
    return max(0.0, 2 * p01 + delta * (1 - delta))
