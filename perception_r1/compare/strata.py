"""Several benchmarks in one test, and whether they agree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from perception_r1.compare.checks import chi2_pvalue, rows
from perception_r1.compare.mcnemar import mcnemar_chi2, mcnemar_exact, mcnemar_midp


@dataclass(frozen=True)
class StratifiedMcNemar:
    """`pooled_or` is None where no pair goes to the second model: the odds have no finite value."""

    pooled_statistic: float
    pooled_pvalue: float
    pooled_exact_pvalue: float
    pooled_midp: float
    heterogeneity_statistic: float
    heterogeneity_df: int
    heterogeneity_pvalue: float
    pooled_or: float | None
    stouffer_z: float
    stouffer_pvalue: float


def stratified_mcnemar(strata: Sequence[tuple[int, int]]) -> StratifiedMcNemar:
    """The test over strata (pairs b, c): pooled, by Stouffer's sum of z, and for differences between strata.

    The pooled statistic is Cochran-Mantel-Haenszel's with a stratum a pair. Strata in which the models never differ
    say nothing and are not counted. A pooled p value under a large heterogeneity is misleading: report both.
    """
    pairs = rows(strata, "strata", ("b", "c"))
    b, c = (int(total) for total in pairs.sum(axis=0))
    told = pairs[pairs.sum(axis=1) > 0]
    pooled, z = mcnemar_chi2(b, c), _stouffer(told)
    statistic, df = _heterogeneity(told), max(0, len(told) - 1)
    return StratifiedMcNemar(
        pooled_statistic=pooled.statistic,
        pooled_pvalue=pooled.pvalue,
        pooled_exact_pvalue=mcnemar_exact(b, c).pvalue,
        pooled_midp=mcnemar_midp(b, c).pvalue,
        heterogeneity_statistic=statistic,
        heterogeneity_df=df,
        heterogeneity_pvalue=chi2_pvalue(statistic, df),
        pooled_or=b / c if c else None,
        stouffer_z=z,
        stouffer_pvalue=2 * float(special.ndtr(-abs(z))),
    )


def _stouffer(told: NDArray[np.int64]) -> float:
    """The sum of the strata's z = (b - c) / sqrt(b + c) over the root of their number; each stratum weighs the same."""
    if not len(told):
        return 0.0
    return float(((told[:, 0] - told[:, 1]) / np.sqrt(told.sum(axis=1))).sum() / math.sqrt(len(told)))


def _heterogeneity(told: NDArray[np.int64]) -> float:
    """The chi squared distance of each stratum's share of b from the common share."""
    totals = told.sum(axis=0)
    if not totals.all():  # every discordant pair falls to the same side: nothing can vary
        return 0.0
    share, m = totals[0] / totals.sum(), told.sum(axis=1)
    return float(((told[:, 0] - m * share) ** 2 / (m * share * (1 - share))).sum())
