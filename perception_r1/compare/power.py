"""What a study of n pairs can find, and how many pairs it takes.

p10 is the probability that only the first model is right, p01 that only the second is.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from perception_r1.compare.checks import Numbers, between, count, normal_quantile, rate

MOST_PAIRS = 1_000_000  # of a planned study; more would be no study of a benchmark


@dataclass(frozen=True)
class McNemarPower:
    exact_test: float
    midp_test: float
    connor: float


@dataclass(frozen=True)
class McNemarSampleSize:
    connor: int
    exact_test: int


def mcnemar_power(n: int, p10: float, p01: float, alpha: float = 0.05) -> McNemarPower:
    """The chance that n pairs give p <= alpha: enumerated for the exact and mid-p tests, approximated by Connor.

    With p10 = p01 it is the size of the test (Connor's: half of alpha, as it counts one side only).
    """
    n, alpha = count(n, "n", 1), between(alpha, "alpha")
    p10, p01 = _rates(p10, p01)
    if n > MOST_PAIRS:
        raise ValueError(f"n must be at most {MOST_PAIRS:,} pairs, got {n:,}")
    m = _likely(n, p10 + p01)
    share = p10 / (p10 + p01)
    critical = _critical(m, alpha)
    exact, midp = (
        _expected(n, p10 + p01, m, _rejected(m, k, share)) for k in (critical, _critical_midp(m, critical, alpha))
    )
    return McNemarPower(exact, midp, _connor_power(n, p10, p01, alpha))


def mcnemar_sample_size(p10: float, p01: float, alpha: float = 0.05, power: float = 0.8) -> McNemarSampleSize:
    """The fewest pairs at which the power is reached: by Connor's formula, and for the exact test by enumeration.

    Connor, Biometrics 43:207 (1987). Exact power is saw-toothed where almost all pairs differ (p10 + p01 near 1):
    there a few pairs more than the fewest may have less power again; ask `mcnemar_power` for the n that is run.
    """
    alpha, power = between(alpha, "alpha"), between(power, "power")
    p10, p01 = _rates(p10, p01)
    if p10 == p01:
        raise ValueError(f"p10 and p01 are both {p10:g}: no number of pairs finds a difference that is not there")
    if power <= alpha:
        raise ValueError(f"power must exceed alpha: {power:g} is not more than {alpha:g}")
    connor = _connor_size(p10, p01, alpha, power)
    if connor > MOST_PAIRS:
        raise ValueError(
            f"p10 = {p10:g} and p01 = {p01:g} need {connor:,.0f} pairs; more than {MOST_PAIRS:,} are no plan"
        )
    return McNemarSampleSize(math.ceil(connor), _fewest(p10, p01, alpha, power, math.ceil(connor)))


def _rates(p10: float, p01: float) -> tuple[float, float]:
    p10, p01 = rate(p10, "p10"), rate(p01, "p01")
    if p10 + p01 > 1 + 1e-12:
        raise ValueError(f"p10 + p01 must be at most 1, got {p10:g} + {p01:g}")
    if p10 + p01 < 1e-9:
        raise ValueError("p10 + p01 must be above 0 (1e-9): where the models never differ there is nothing to test")
    return p10, min(p01, 1 - p10)


def _connor_size(p10: float, p01: float, alpha: float, power: float) -> float:
    differ, delta = p10 + p01, abs(p10 - p01)
    z_alpha, z_power = normal_quantile(alpha), float(special.ndtri(power))
    return (z_alpha * math.sqrt(differ) + z_power * math.sqrt(max(0.0, differ - delta**2))) ** 2 / delta**2


def _connor_power(n: int, p10: float, p01: float, alpha: float) -> float:
    """`_connor_size` solved for the power."""
    differ, delta = p10 + p01, abs(p10 - p01)
    over, spread = delta * math.sqrt(n) - normal_quantile(alpha) * math.sqrt(differ), max(0.0, differ - delta**2)
    return float(special.ndtr(over / math.sqrt(spread))) if spread else float(over >= 0)


def _fewest(p10: float, p01: float, alpha: float, power: float, guess: int) -> int:
    """The fewest pairs with this power: a crossing by halving, then down over the teeth of the saw.

    A tooth is about 2 sqrt(m) / z discordant pairs long, so a stretch of 4 sqrt(n) without success ends the search.
    """
    low, high = 0, guess
    while _exact_power(high, p10, p01, alpha) < power:
        low, high = high, high + max(1, high // 10)
    while high - low > 1:
        middle = (low + high) // 2
        enough = _exact_power(middle, p10, p01, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    best, table = high, _Rejections(high, p10, p01, alpha)
    for n in range(high - 1, 0, -1):
        if best - n > 10 + 4 * math.sqrt(best):
            break
        best = n if table.power(n) >= power else best
    return best


def _exact_power(n: int, p10: float, p01: float, alpha: float) -> float:
    m = _likely(n, p10 + p01)
    return _expected(n, p10 + p01, m, _rejected(m, _critical(m, alpha), p10 / (p10 + p01)))


class _Rejections:
    """The exact test's chance to reject given the discordant pairs, kept from one n to the next below `most`."""

    def __init__(self, most: int, p10: float, p01: float, alpha: float) -> None:
        self.differ, self.share, self.alpha = p10 + p01, p10 / (p10 + p01), alpha
        self.given: Numbers = np.zeros(0)
        self.start = int(_likely(most, self.differ)[-1]) + 1

    def power(self, n: int) -> float:
        m = _likely(n, self.differ)
        first, last = int(m[0]), int(m[-1])
        if first < self.start:  # as many again below, so that most n find everything there
            more = np.arange(max(0, 2 * first - last), self.start, dtype=np.float64)
            self.given = np.concatenate((_rejected(more, _critical(more, self.alpha), self.share), self.given))
            self.start = int(more[0])
        return _expected(n, self.differ, m, self.given[first - self.start : last - self.start + 1])


def _likely(n: int, differ: float) -> Numbers:
    """The numbers of discordant pairs that n pairs may have; those left out weigh less than 1e-15 together."""
    mean, reach = n * differ, 9 * math.sqrt(n * differ * (1 - differ)) + 40
    return np.arange(max(0.0, math.floor(mean - reach)), min(n, math.ceil(mean + reach)) + 1.0)


def _expected(n: int, differ: float, m: Numbers, value: Numbers) -> float:
    """The mean of a value over m ~ Bin(n, differ)."""
    log_weight = special.xlogy(m, differ) + special.xlog1py(n - m, -differ) - special.gammaln(m + 1)
    log_weight = log_weight - special.gammaln(n - m + 1)
    weight = np.exp(log_weight - log_weight.max())
    return min(1.0, float((weight * value).sum() / weight.sum()))


def _critical(m: Numbers, alpha: float) -> Numbers:
    """The largest min(b, c) at which the exact test rejects, -1 where none does."""
    guess = np.floor(m / 2 - normal_quantile(alpha) * np.sqrt(m) / 2)
    k = np.clip(guess, -1, np.floor((m - 1) / 2))
    while (high := (k >= 0) & (2 * _half_cdf(k, m) > alpha)).any():
        k = k - high
    while (low := (k + 1 < m / 2) & (2 * _half_cdf(k + 1, m) <= alpha)).any():
        k = k + low
    return k


def _critical_midp(m: Numbers, exact: Numbers, alpha: float) -> Numbers:
    """The same for mid-p, which rejects there or at one more."""
    midp = _half_cdf(exact, m) + _half_cdf(exact + 1, m)
    return exact + ((exact + 1 < m / 2) & (midp <= alpha))


def _rejected(m: Numbers, k: Numbers, share: float) -> Numbers:
    """P(b <= k or b >= m - k) for b ~ Bin(m, share)."""
    return _cdf(k, m, share) + _cdf(k, m, 1 - share)


def _half_cdf(k: Numbers, m: Numbers) -> Numbers:
    return _cdf(k, m, 0.5)


def _cdf(k: Numbers, m: Numbers, share: float) -> Numbers:
    """P(X <= k) for X ~ Bin(m, share) and k < m, 0 for k < 0."""
    some = k >= 0
    k = np.where(some, k, 0.0)
    return np.where(some, special.betainc(np.maximum(m - k, 1.0), k + 1, 1 - share), 0.0)
