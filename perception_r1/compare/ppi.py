"""A cheap judge on many items and people on a few: prediction-powered inference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_r1.compare.checks import Numbers, between, normal_quantile, numbers


@dataclass(frozen=True)
class PPIPairedDifference:
    estimate: float
    se: float
    low: float
    high: float
    lambda_tuned: float
    tuned_estimate: float
    tuned_se: float


def ppi_paired_difference(
    judge_diff_unlabelled: Sequence[float],
    judge_diff_labelled: Sequence[float],
    gold_diff_labelled: Sequence[float],
    alpha: float = 0.05,
) -> PPIPairedDifference:
    """The mean of per-item differences from the judge on all items, put right by gold labels on a random part of them.

    estimate, se, low, high: the judge is trusted in full (Angelopoulos et al., Science 2023). The tuned ones weigh it
    by lambda between 0 and 1 (PPI++, arXiv 2311.01453): with a useless judge they are the labelled items' own mean.
    """
    unlabelled = numbers(judge_diff_unlabelled, "judge_diff_unlabelled", 2)
    judged, gold = (
        numbers(judge_diff_labelled, "judge_diff_labelled", 2),
        numbers(gold_diff_labelled, "gold_diff_labelled", 2),
    )
    alpha = between(alpha, "alpha")
    if len(judged) != len(gold):
        raise ValueError(f"the labelled differences must be of the same items: {len(judged)} judged, {len(gold)} gold")
    tuned = _tuned_lambda(unlabelled, judged, gold)
    estimate, se = _estimate(unlabelled, judged, gold, 1.0)
    half = normal_quantile(alpha) * se
    return PPIPairedDifference(
        estimate, se, estimate - half, estimate + half, tuned, *_estimate(unlabelled, judged, gold, tuned)
    )


def _estimate(unlabelled: Numbers, judged: Numbers, gold: Numbers, weight: float) -> tuple[float, float]:
    errors = gold - weight * judged
    variance = weight**2 * unlabelled.var(ddof=1) / len(unlabelled) + errors.var(ddof=1) / len(errors)
    return float(weight * unlabelled.mean() + errors.mean()), math.sqrt(float(variance))


def _tuned_lambda(unlabelled: Numbers, judged: Numbers, gold: Numbers) -> float:
    """The weight with the least variance, cov(gold, judged) / ((1 + n/N) var(judged)); the variance over all items."""
    spread = float(np.concatenate((unlabelled, judged)).var(ddof=1)) * (1 + len(gold) / len(unlabelled))
    together = float(((gold - gold.mean()) * (judged - judged.mean())).sum()) / (len(gold) - 1)
    return min(1.0, max(0.0, together / spread)) if spread else 0.0
