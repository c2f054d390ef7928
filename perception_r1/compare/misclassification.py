"""A paired table seen through two imperfect judges, and back.

A judge that is kinder to one arm makes equal models differ; each arm has its own errors here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from perception_r1.compare.checks import Numbers, between, count, normal_quantile, numbers, rate
from perception_r1.compare.judges import informative, label_variance

HEADS = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])  # which model is right in the cells a, b, c, d


@dataclass(frozen=True)
class JudgeErrors:
    """A judge's error rates in one arm, and on how many labels they were measured (None: known without error)."""

    sensitivity: float
    specificity: float
    n_pos: int | None = None
    n_neg: int | None = None

    def __post_init__(self) -> None:
        rate(self.sensitivity, "sensitivity"), rate(self.specificity, "specificity")
        for value, name in ((self.n_pos, "n_pos"), (self.n_neg, "n_neg")):
            if value is not None:
                count(value, name, 1)


@dataclass(frozen=True)
class MisclassifiedTable:
    """What the judges are expected to say of a true table."""

    a: float
    b: float
    c: float
    d: float
    difference: float


@dataclass(frozen=True)
class CorrectedTable:
    """The true table behind a judged one; a negative cell says that the error rates do not fit these data."""

    a: float
    b: float
    c: float
    d: float
    difference: float
    se: float
    low: float
    high: float


def paired_misclassification(
    cells: Sequence[float],
    first: JudgeErrors,
    second: JudgeErrors,
    direction: Literal["forward", "inverse"],
    alpha: float = 0.05,
) -> MisclassifiedTable | CorrectedTable:
    """The table (a, b, c, d) seen through the two arms' judges (forward), or what lies behind it (inverse)."""
    if direction == "forward":
        return paired_misclassification_forward(cells, first, second)
    if direction == "inverse":
        return paired_misclassification_inverse(cells, first, second, alpha)
    raise ValueError(f"direction {direction!r} is unknown; known: forward, inverse")


def paired_misclassification_forward(
    cells: Sequence[float], first: JudgeErrors, second: JudgeErrors
) -> MisclassifiedTable:
    """The expected observed cells, in the unit of the true ones; the judges err independently given the truth."""
    _check_errors(first, second)
    seen = np.kron(_mixing(first), _mixing(second)) @ _cells(cells)
    a, b, c, d = (float(cell) for cell in seen)
    return MisclassifiedTable(a, b, c, d, (b - c) / (a + b + c + d))


def paired_misclassification_inverse(
    cells: Sequence[float], first: JudgeErrors, second: JudgeErrors, alpha: float = 0.05
) -> CorrectedTable:
    """The true cells behind observed counts, and the corrected difference with its interval.

    The interval is the delta method's over items and over the labels of both arms, which must be separate label sets.
    """
    _check_errors(first, second)
    seen, z = _cells(cells), normal_quantile(between(alpha, "alpha"))
    arms = [(errors, informative(errors.sensitivity, errors.specificity)) for errors in (first, second)]
    true = np.kron(*(np.linalg.inv(_mixing(errors)) for errors, _ in arms)) @ seen
    difference = float((true[1] - true[2]) / seen.sum())
    variance = _item_variance(seen, arms[0][1], arms[1][1]) + sum(
        _label_variance(float(seen @ head / seen.sum()), errors, youden)
        for (errors, youden), head in zip(arms, HEADS, strict=True)
    )
    se = math.sqrt(variance)
    a, b, c, d = (float(cell) for cell in true)
    return CorrectedTable(a, b, c, d, difference, se, difference - z * se, difference + z * se)


def _check_errors(*arms: Any) -> None:
    for errors, name in zip(arms, ("first", "second"), strict=True):
        if not isinstance(errors, JudgeErrors):
            raise ValueError(f"{name} must be JudgeErrors(sensitivity, specificity), got {errors!r}")


def _cells(cells: Sequence[float]) -> Numbers:
    values = numbers(cells, "cells", 4)
    if len(values) != 4 or values.min() < 0 or not values.sum() > 0:
        raise ValueError(f"cells must be a, b, c, d: none negative, not all 0; got {values.tolist()}")
    return values


def _mixing(errors: JudgeErrors) -> Numbers:
    """P(judged right, judged wrong | truly right, truly wrong), by rows judged and columns true."""
    return np.array(
        [[errors.sensitivity, 1 - errors.specificity], [1 - errors.sensitivity, errors.specificity]], dtype=np.float64
    )


def _item_variance(seen: Numbers, first: float, second: float) -> float:
    """The variance of the mean over items of (first judged right) / J - (second judged right) / J."""
    worth, n = HEADS[0] / first - HEADS[1] / second, float(seen.sum())
    share = seen / n
    return float(share @ worth**2 - (share @ worth) ** 2) / n


def _label_variance(judged: float, errors: JudgeErrors, youden: float) -> float:
    """What not knowing the error rates of one arm adds to the variance."""
    if errors.n_pos is None and errors.n_neg is None:
        return 0.0
    true = (judged + errors.specificity - 1) / youden
    n_pos, n_neg = errors.n_pos or math.inf, errors.n_neg or math.inf
    return label_variance(true, errors.sensitivity, n_pos, errors.specificity, n_neg) / youden**2
