"""Honest paired comparisons of two models on the same items: McNemar's test and what belongs beside it.

Cells of a paired table: a both right, b only the first model, c only the second, d neither. Every function returns
finite numbers or raises ValueError that says what is wrong; docs/compare.md says which test answers which question.
"""

from perception_r1.compare.checks import Interval
from perception_r1.compare.effect import conditional_odds_ratio, paired_difference_ci
from perception_r1.compare.mcnemar import (
    bayes_beta_superiority,
    mcnemar_chi2,
    mcnemar_exact,
    mcnemar_exact_logp,
    mcnemar_midp,
    mcnemar_midp_logp,
    mcnemar_min_attainable_p,
)
from perception_r1.compare.proportion import proportion_ci

__all__ = [
    "Interval",
    "bayes_beta_superiority",
    "conditional_odds_ratio",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mcnemar_exact_logp",
    "mcnemar_midp",
    "mcnemar_midp_logp",
    "mcnemar_min_attainable_p",
    "paired_difference_ci",
    "proportion_ci",
]
