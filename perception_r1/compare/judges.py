"""How good a judge is, and what a rate is once its errors are known."""

import math
from dataclasses import dataclass

from perception_r1.compare.checks import between, count, normal_quantile, rate

LEAST_YOUDEN = 1e-6  # below it nothing is left that could be corrected


@dataclass(frozen=True)
class JudgeAgreement:
    accuracy: float
    sensitivity: float
    specificity: float
    precision: float
    kappa: float
    kappa_se: float
    kappa_low: float
    kappa_high: float
    mcc: float
    gwet_ac1: float
    balanced_accuracy: float
    youden_j: float


@dataclass(frozen=True)
class RoganGladen:
    estimate: float
    se: float
    low: float
    high: float


def judge_agreement(tp: int, fp: int, fn: int, tn: int, alpha: float = 0.05) -> JudgeAgreement:
    """How a judge's yes and no agree with the truth's; both classes must occur, and the judge must say yes sometimes.

    kappa's limits are kappa +- z times the standard error of Fleiss, Cohen & Everitt (1969) and may exceed 1. The
    correlation mcc is 0 where the judge always says yes.
    """
    tp, fp, fn, tn = (count(v, name) for v, name in zip((tp, fp, fn, tn), ("tp", "fp", "fn", "tn"), strict=True))
    alpha, n = between(alpha, "alpha"), tp + fp + fn + tn
    for cells, what in (
        (tp + fn, "tp + fn is 0: without true positives there is no sensitivity"),
        (fp + tn, "fp + tn is 0: without true negatives there is no specificity"),
        (tp + fp, "tp + fp is 0: the judge never says yes, so there is no precision"),
    ):
        if not cells:
            raise ValueError(what)
    sensitivity, specificity = tp / (tp + fn), tn / (fp + tn)
    kappa, kappa_se = _kappa(tp, fp, fn, tn)
    half, yes = normal_quantile(alpha) * kappa_se, (2 * tp + fp + fn) / (2 * n)
    chance = 2 * yes * (1 - yes)
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return JudgeAgreement(
        accuracy=(tp + tn) / n,
        sensitivity=sensitivity,
        specificity=specificity,
        precision=tp / (tp + fp),
        kappa=kappa,
        kappa_se=kappa_se,
        kappa_low=kappa - half,
        kappa_high=kappa + half,
        mcc=(tp * tn - fp * fn) / math.sqrt(margins) if margins else 0.0,
        gwet_ac1=((tp + tn) / n - chance) / (1 - chance),
        balanced_accuracy=(sensitivity + specificity) / 2,
        youden_j=sensitivity + specificity - 1,
    )


def _kappa(tp: int, fp: int, fn: int, tn: int) -> tuple[float, float]:
    """Cohen's kappa and its standard error."""
    n = tp + fp + fn + tn
    judge, truth = ((tp + fp) / n, (fn + tn) / n), ((tp + fn) / n, (fp + tn) / n)
    cells = ((tp / n, fp / n), (fn / n, tn / n))
    agreed = cells[0][0] + cells[1][1]
    chance = judge[0] * truth[0] + judge[1] * truth[1]
    kappa = (agreed - chance) / (1 - chance)
    on = sum(cells[i][i] * (1 - (judge[i] + truth[i]) * (1 - kappa)) ** 2 for i in (0, 1))
    off = (1 - kappa) ** 2 * sum(cells[i][1 - i] * (truth[i] + judge[1 - i]) ** 2 for i in (0, 1))
    variance = (on + off - (kappa - chance * (1 - kappa)) ** 2) / ((1 - chance) ** 2 * n)
    return kappa, math.sqrt(max(0.0, variance))


def rogan_gladen(
    p_obs: float, n: int, sensitivity: float, n_pos: int, specificity: float, n_neg: int, alpha: float = 0.05
) -> RoganGladen:
    """The true rate behind a judged one, with all three sampling errors (delta method).

    p_obs was seen on n items; sensitivity and specificity were measured on n_pos and n_neg. Rogan & Gladen (1978).
    An estimate outside 0 to 1 is not clipped: it says that the error rates do not fit these data.
    """
    p_obs, n, alpha = rate(p_obs, "p_obs"), count(n, "n", 1), between(alpha, "alpha")
    n_pos, n_neg = count(n_pos, "n_pos", 1), count(n_neg, "n_neg", 1)
    youden = informative(sensitivity, specificity)
    estimate = (p_obs + specificity - 1) / youden
    variance = p_obs * (1 - p_obs) / n + label_variance(estimate, sensitivity, n_pos, specificity, n_neg)
    se = math.sqrt(variance) / youden
    half = normal_quantile(alpha) * se
    return RoganGladen(estimate, se, estimate - half, estimate + half)


def informative(sensitivity: float, specificity: float) -> float:
    """Youden's J = sensitivity + specificity - 1; raises ValueError where a judge tells nothing."""
    sensitivity, specificity = rate(sensitivity, "sensitivity"), rate(specificity, "specificity")
    youden = sensitivity + specificity - 1
    if youden < LEAST_YOUDEN:
        raise ValueError(
            f"sensitivity + specificity must exceed 1, got {sensitivity:g} + {specificity:g}: "
            "such a judge tells nothing that could be corrected"
        )
    return youden


def label_variance(estimate: float, sensitivity: float, n_pos: float, specificity: float, n_neg: float) -> float:
    """What the uncertainty of the error rates adds to the variance of estimate * J."""
    return (
        estimate**2 * sensitivity * (1 - sensitivity) / n_pos
        + (1 - estimate) ** 2 * specificity * (1 - specificity) / n_neg
    )
