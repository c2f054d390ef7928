"""Honest paired comparisons of two models on the same items: McNemar's test and what belongs beside it.

Cells of a paired table: a both right, b only the first model, c only the second, d neither. Every function returns
finite numbers or raises ValueError that says what is wrong; docs/compare.md says which test answers which question.
"""

from perception_r1.compare.checks import Interval
from perception_r1.compare.clusters import clustered_mcnemar, clustered_se
from perception_r1.compare.contrast import ArmSummary, Contrast, Plan
from perception_r1.compare.effect import conditional_odds_ratio, paired_difference_ci
from perception_r1.compare.family import compare_models, spread
from perception_r1.compare.judges import judge_agreement, rogan_gladen
from perception_r1.compare.mcnemar import (
    bayes_beta_superiority,
    mcnemar_chi2,
    mcnemar_exact,
    mcnemar_exact_logp,
    mcnemar_midp,
    mcnemar_midp_logp,
    mcnemar_min_attainable_p,
)
from perception_r1.compare.misclassification import (
    JudgeErrors,
    paired_misclassification,
    paired_misclassification_forward,
    paired_misclassification_inverse,
)
from perception_r1.compare.multiplicity import adjust_pvalues, cochrans_q
from perception_r1.compare.pairing import PairedCells, pair_outcomes, read_outcomes
from perception_r1.compare.pairwise import PairwiseTest, pairwise_mcnemar
from perception_r1.compare.paper import PAPER_ITEMS, PAPER_TESTS, paper_check
from perception_r1.compare.power import mcnemar_power, mcnemar_sample_size
from perception_r1.compare.ppi import ppi_paired_difference
from perception_r1.compare.proportion import proportion_ci
from perception_r1.compare.resampling import paired_bootstrap_ci, paired_signflip_permutation
from perception_r1.compare.seeds import item_seed_difference
from perception_r1.compare.strata import stratified_mcnemar

__all__ = [
    "PAPER_ITEMS",
    "PAPER_TESTS",
    "ArmSummary",
    "Contrast",
    "Interval",
    "JudgeErrors",
    "PairedCells",
    "PairwiseTest",
    "Plan",
    "adjust_pvalues",
    "bayes_beta_superiority",
    "clustered_mcnemar",
    "clustered_se",
    "cochrans_q",
    "compare_models",
    "conditional_odds_ratio",
    "item_seed_difference",
    "judge_agreement",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mcnemar_exact_logp",
    "mcnemar_midp",
    "mcnemar_midp_logp",
    "mcnemar_min_attainable_p",
    "mcnemar_power",
    "mcnemar_sample_size",
    "pair_outcomes",
    "paired_bootstrap_ci",
    "paired_difference_ci",
    "paired_misclassification",
    "paired_misclassification_forward",
    "paired_misclassification_inverse",
    "paired_signflip_permutation",
    "pairwise_mcnemar",
    "paper_check",
    "ppi_paired_difference",
    "proportion_ci",
    "read_outcomes",
    "rogan_gladen",
    "spread",
    "stratified_mcnemar",
]
