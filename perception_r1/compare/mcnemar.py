"""McNemar's test of b against c: of the items on which two models differ, is one of them right more often?

Cells of a paired table: a both right, b only the first, c only the second, d neither.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from perception_r1.compare.checks import MOST, chi2_pvalue, count, numbers, switch

DIRECT = 1e-290  # above it a p value is a normal double with full precision and its log may be taken


@dataclass(frozen=True)
class McNemarExact:
    pvalue: float
    statistic: int
    n_discordant: int


@dataclass(frozen=True)
class McNemarMidP:
    pvalue: float


@dataclass(frozen=True)
class McNemarChi2:
    statistic: float
    pvalue: float


@dataclass(frozen=True)
class MinAttainableP:
    exact: float
    midp: float


@dataclass(frozen=True)
class BetaSuperiority:
    prob_b_gt_half: float


def mcnemar_exact(b: int, c: int) -> McNemarExact:
    """The two-sided binomial test of b in b + c at one half; 1 where nothing differs."""
    b, c = count(b, "b"), count(c, "c")
    fewer, m = min(b, c), b + c
    return McNemarExact(1.0 if b == c else min(1.0, 2 * half_cdf(fewer, m)), fewer, m)


def mcnemar_midp(b: int, c: int) -> McNemarMidP:
    """The exact p value less the probability of what was seen: near the nominal size where exact is below it.

    Fagerland, Lydersen & Laake, BMC Med Res Methodol 13:91 (2013). It is 1 for b = c.
    """
    b, c = count(b, "b"), count(c, "c")
    fewer, m = min(b, c), b + c
    # 2 P(X <= k) - P(X = k) without the subtraction
    return McNemarMidP(1.0 if b == c else half_cdf(fewer, m) + half_cdf(fewer - 1, m))


def mcnemar_chi2(b: int, c: int, continuity: bool = False) -> McNemarChi2:
    """The large-sample test, on request with Edwards' continuity correction; b = c gives 0 and 1 with either."""
    b, c, correction = count(b, "b"), count(c, "c"), switch(continuity, "continuity")
    if b == c:
        return McNemarChi2(0.0, 1.0)
    statistic = (abs(b - c) - correction) ** 2 / (b + c)
    return McNemarChi2(statistic, chi2_pvalue(statistic, 1))


def mcnemar_min_attainable_p(n_discordant: int) -> MinAttainableP:
    """The smallest p values that this many discordant pairs can give: 6 are needed for exact p < .05, 5 for mid-p."""
    m = count(n_discordant, "n_discordant")
    return MinAttainableP(min(1.0, math.ldexp(1.0, 1 - m)), math.ldexp(1.0, -m))


def mcnemar_exact_logp(b: int, c: int) -> float:
    """The natural log of the exact p value, also where the p value itself is too small for a double."""
    b, c = count(b, "b"), count(c, "c")
    p = mcnemar_exact(b, c).pvalue
    return math.log(p) if p > DIRECT else _log_term(b, c) + math.log(2 * _terms_below(b, c))


def mcnemar_midp_logp(b: int, c: int) -> float:
    """The natural log of the mid-p value, also where the p value itself is too small for a double."""
    b, c = count(b, "b"), count(c, "c")
    p = mcnemar_midp(b, c).pvalue
    return math.log(p) if p > DIRECT else _log_term(b, c) + math.log(2 * _terms_below(b, c) - 1)


def bayes_beta_superiority(b: int, c: int, prior: tuple[float, float] = (1.0, 1.0)) -> BetaSuperiority:
    """The posterior probability that the first model wins most of the items on which the two differ.

    The share of wins has the prior Beta(prior); the default is uniform.
    """
    b, c = count(b, "b"), count(c, "c")
    weights = numbers(prior, "prior", 2)
    if len(weights) != 2 or weights.min() < 1e-6 or weights.max() > MOST:
        raise ValueError(f"prior must be the two positive numbers of a beta distribution (1e-6 to 1e9), got {prior!r}")
    first, second = (float(weight) for weight in weights)
    return BetaSuperiority(float(special.betainc(c + second, b + first, 0.5)))


def half_cdf(k: int, m: int) -> float:
    """P(X <= k) for X ~ Bin(m, 1/2) and k < m, by the incomplete beta function: no sum, no early underflow."""
    return float(special.betainc(m - k, k + 1, 0.5)) if k >= 0 else 0.0


def _log_term(b: int, c: int) -> float:
    """log P(X = b) for X ~ Bin(b + c, 1/2)."""
    m = b + c
    return float(special.gammaln(m + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - m * math.log(2))


def _terms_below(b: int, c: int) -> float:
    """P(X <= k) / P(X = k) for X ~ Bin(b + c, 1/2) and k = min(b, c): a sum that falls off geometrically."""
    k, more = min(b, c), max(b, c)
    first = k / (more + 1)
    needed = min(k, math.ceil(40 / -math.log(first))) if k else 0  # what is left out is below e-40 of the whole
    steps = np.arange(needed)
    return 1.0 + float(np.cumprod((k - steps) / (more + 1 + steps)).sum())
