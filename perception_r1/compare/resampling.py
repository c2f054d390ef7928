"""Chance by lot: for graded scores, and wherever no formula is to be trusted."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_r1.compare.checks import Numbers, between, count, labels, numbers
from perception_r1.compare.mcnemar import mcnemar_exact

CELLS = 2_000_000  # numbers in memory at a time
ENUMERATED = 16  # up to this many differences all 2**16 flips are tried instead of a sample


@dataclass(frozen=True)
class BootstrapCI:
    estimate: float
    low: float
    high: float
    n_resamples: int
    seed: int


@dataclass(frozen=True)
class SignflipPermutation:
    """`standard_error` is that of the p value itself, from having tried a sample of flips only; 0 where it is exact."""

    pvalue: float
    standard_error: float
    n_resamples: int


def paired_bootstrap_ci(
    differences: Sequence[float],
    n_resamples: int = 10_000,
    seed: int = 0,
    *,
    clusters: Iterable[Hashable] | None = None,
    alpha: float = 0.05,
) -> BootstrapCI:
    """The percentile interval of the mean difference, from drawing items, or whole clusters, with replacement.

    Its coverage falls short of nominal for small samples; with 0/1 scores prefer `paired_difference_ci`.
    """
    values, alpha = numbers(differences, "differences", 2), between(alpha, "alpha")
    n_resamples, seed = count(n_resamples, "n_resamples", 100), count(seed, "seed")
    sums, sizes = _by_cluster(values, clusters)
    kinds, counts = _kinds(sums, sizes)
    rng, units = np.random.default_rng(seed), len(sums)

    def means(draws: int) -> Numbers:
        total = rng.multinomial(units, counts / units, size=draws) @ kinds
        return np.asarray(total[:, 0] / total[:, 1])

    low, high = np.quantile(_in_parts(means, n_resamples, len(kinds)), (alpha / 2, 1 - alpha / 2))
    return BootstrapCI(float(values.mean()), float(low), float(high), n_resamples, seed)


def paired_signflip_permutation(
    differences: Sequence[float],
    n_resamples: int = 100_000,
    seed: int = 0,
    *,
    clusters: Iterable[Hashable] | None = None,
) -> SignflipPermutation:
    """The two-sided p value of a mean difference if each item's (or cluster's) sign were tossed.

    Exact for differences of -1, 0 and 1 (it is McNemar's exact test then) and for up to 16 that are not 0; otherwise
    Monte Carlo: the observed signs count as one of the draws (Phipson & Smyth 2010), so it is never 0.
    """
    values = numbers(differences, "differences")
    n_resamples, seed = count(n_resamples, "n_resamples", 100), count(seed, "seed")
    sums, _ = _by_cluster(values, clusters)
    told = sums[sums != 0]
    if np.isin(told, (-1, 1)).all():
        return SignflipPermutation(mcnemar_exact(int((told > 0).sum()), int((told < 0).sum())).pvalue, 0.0, 0)
    if len(told) <= ENUMERATED:
        return SignflipPermutation(_enumerated(told), 0.0, 0)
    p = (1 + _extreme(told, n_resamples, seed)) / (1 + n_resamples)
    return SignflipPermutation(p, float(np.sqrt(p * (1 - p) / n_resamples)), n_resamples)


def _by_cluster(values: Numbers, clusters: Iterable[Hashable] | None) -> tuple[Numbers, NDArray[np.intp]]:
    """The sum and the number of the values in each cluster; without clusters each item is its own."""
    if clusters is None:
        return values, np.ones(len(values), dtype=np.intp)
    codes = labels(clusters, "clusters", len(values))
    return np.bincount(codes, values).astype(np.float64), np.bincount(codes)


def _kinds(sums: Numbers, sizes: NDArray[np.intp]) -> tuple[Numbers, NDArray[np.intp]]:
    """The distinct (sum, size) and how many units have each: a million 0/1 items are three kinds.

    Equal units are drawn together, as how often each kind comes is multinomial.
    """
    if (sizes == 1).all():  # a hundred times faster than sorting rows
        values, counts = np.unique(sums, return_counts=True)
        return np.column_stack((values, np.ones(len(values)))), counts
    pairs, counts = np.unique(np.column_stack((sums, sizes)), axis=0, return_counts=True)
    return pairs.astype(np.float64), counts


def _in_parts(draw: Callable[[int], Numbers], n_resamples: int, width: int) -> Numbers:
    """The draws of all resamples, a bounded number at a time."""
    part = max(1, CELLS // width)
    return np.concatenate([draw(min(part, n_resamples - start)) for start in range(0, n_resamples, part)])


def _enumerated(told: Numbers) -> float:
    signs = 1 - 2 * (np.arange(2 ** len(told))[:, None] >> np.arange(len(told)) & 1)
    return float(_as_extreme(signs @ told, told).mean())


def _extreme(told: Numbers, n_resamples: int, seed: int) -> int:
    """How many draws of the signs give a sum at least as far from 0."""
    kinds, counts = np.unique(np.abs(told), return_counts=True)
    rng = np.random.default_rng(seed)
    sums = _in_parts(
        lambda draws: np.asarray((2 * rng.binomial(counts, 0.5, size=(draws, len(kinds))) - counts) @ kinds),
        n_resamples,
        len(kinds),
    )
    return int(_as_extreme(sums, told).sum())


def _as_extreme(sums: Numbers, told: Numbers) -> NDArray[np.bool_]:
    """Whether each sum is as far from 0 as the one seen; rounding must not make equal sums differ."""
    return np.abs(sums) >= abs(float(told.sum())) - 1e-12 * float(np.abs(told).sum())
