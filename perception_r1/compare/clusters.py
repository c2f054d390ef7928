"""Items that belong together (five renderings of one problem) are not five problems."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from perception_r1.compare.checks import Interval, Numbers, between, chi2_pvalue, labels, normal_quantile, numbers, rows
from perception_r1.compare.mcnemar import mcnemar_chi2


@dataclass(frozen=True)
class ClusteredMcNemar:
    K: int
    N: int
    difference: float
    naive_mcnemar_statistic: float
    naive_pvalue: float
    yang_statistic: float
    yang_pvalue: float
    obuchowski_statistic: float
    obuchowski_pvalue: float
    durkalski_statistic: float
    durkalski_pvalue: float
    cluster_se_difference: float
    ci_z: Interval
    ci_t: Interval


@dataclass(frozen=True)
class ClusteredSE:
    mean: float
    naive: float
    miller: float
    sandwich: float
    finite_cluster_corrected: float


def clustered_mcnemar(clusters_abcd: Sequence[tuple[int, int, int, int]], alpha: float = 0.05) -> ClusteredMcNemar:
    """McNemar's test with clusters (rows a, b, c, d) as the unit of chance, beside the naive one.

    Yang (2010), Obuchowski (1998), Durkalski (2003; each cluster weighs the same) refer to chi squared with 1 df. With
    fewer than 20 clusters trust `ci_t` (K - 1 degrees of freedom) over all of them. No interval goes beyond -1 or 1.
    """
    cells, alpha = rows(clusters_abcd, "clusters_abcd", tuple("abcd")), between(alpha, "alpha")
    sizes, gains = cells.sum(axis=1), cells[:, 1] - cells[:, 2]
    k, n = len(cells), int(sizes.sum())
    if k < 2 or not sizes.all():
        raise ValueError(
            f"clusters_abcd must be 2 clusters or more, none of them empty; got {k} with sizes {sizes[:5]}"
        )
    difference = int(gains.sum()) / n
    se = math.sqrt(k / (k - 1) * float(((gains - sizes * difference) ** 2).sum())) / n
    naive = mcnemar_chi2(int(cells[:, 1].sum()), int(cells[:, 2].sum()))
    yang, durkalski = _summed(gains.astype(float)), _summed(gains / sizes)
    obuchowski = (k - 1) / k * yang
    return ClusteredMcNemar(
        K=k,
        N=n,
        difference=difference,
        naive_mcnemar_statistic=naive.statistic,
        naive_pvalue=naive.pvalue,
        yang_statistic=yang,
        yang_pvalue=chi2_pvalue(yang, 1),
        obuchowski_statistic=obuchowski,
        obuchowski_pvalue=chi2_pvalue(obuchowski, 1),
        durkalski_statistic=durkalski,
        durkalski_pvalue=chi2_pvalue(durkalski, 1),
        cluster_se_difference=se,
        ci_z=_around(difference, normal_quantile(alpha) * se),
        ci_t=_around(difference, float(-special.stdtrit(k - 1, alpha / 2)) * se),
    )


def clustered_se(scores: Any, clusters: Iterable[Hashable]) -> ClusteredSE:
    """The mean of a score and four standard errors of it: `naive` (items independent) and three for clusters.

    `miller` is equation 4 of arXiv 2411.00640 (lmms-eval), `sandwich` the residual sums of the clusters as they are,
    `finite_cluster_corrected` that times sqrt(K / (K - 1)) (inspect_ai, statsmodels): the default for few clusters.
    """
    values = numbers(scores, "scores", 2, bools=True)
    codes = labels(clusters, "clusters", len(values))
    n, k = len(values), int(codes.max()) + 1
    if k < 2:
        raise ValueError("clusters must name at least 2 clusters: nothing is known of the spread between them")
    residuals = values - values.mean()
    squares = float((residuals**2).sum())
    between_clusters = float((np.bincount(codes, residuals) ** 2).sum())
    naive = squares / (n - 1) / n
    sandwich = math.sqrt(between_clusters) / n
    return ClusteredSE(
        mean=float(values.mean()),
        naive=math.sqrt(naive),
        miller=math.sqrt(max(0.0, naive + (between_clusters - squares) / n**2)),
        sandwich=sandwich,
        finite_cluster_corrected=sandwich * math.sqrt(k / (k - 1)),
    )


def _summed(gains: Numbers) -> float:
    """The square of the sum over the sum of the squares; 0 where no cluster gains or loses."""
    squares = float((gains**2).sum())
    return float(gains.sum()) ** 2 / squares if squares else 0.0


def _around(centre: float, half: float) -> Interval:
    return Interval(max(-1.0, centre - half), min(1.0, centre + half))
