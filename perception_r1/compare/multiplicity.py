"""Many models in one test, many tests in one family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from perception_r1.compare.checks import Numbers, as_array, chi2_pvalue, numbers

Method = Literal["holm", "bonferroni", "bh", "by", "hommel", "hochberg"]


@dataclass(frozen=True)
class CochransQ:
    statistic: float
    pvalue: float
    df: int


def cochrans_q(x: Any) -> CochransQ:
    """Whether any of several models differs: rows are items, columns models, entries 0 or 1.

    With two models it is McNemar's test without continuity correction. Items on which all agree do not count; if they
    are all there is, Q is 0.
    """
    right = as_array(x, "x", bools=True)
    if right.ndim != 2 or right.shape[0] < 1 or right.shape[1] < 2:
        raise ValueError(f"x must have a row an item and at least two columns (models), got shape {right.shape}")
    if not np.isin(right, (0, 1)).all():
        raise ValueError(f"x must hold 0 and 1 only, got {right[~np.isin(right, (0, 1))][0]:g}")
    models, items, k = right.sum(axis=0), right.sum(axis=1), right.shape[1]
    spread = float(k * items.sum() - (items**2).sum())
    statistic = float((k - 1) * (k * (models**2).sum() - models.sum() ** 2)) / spread if spread else 0.0
    return CochransQ(statistic, chi2_pvalue(statistic, k - 1), k - 1)


def adjust_pvalues(p: Sequence[float], method: Method = "holm") -> list[float]:
    """The p values adjusted for being one family, in the order they came.

    holm, hommel, hochberg and bonferroni bound the chance of any false claim (hommel and hochberg only for p values
    that are independent or positively dependent); bh and by bound the share of false claims (by under any dependence).
    """
    values = numbers(p, "p")
    if method not in get_args(Method):
        raise ValueError(f"method {method!r} is unknown; known: {', '.join(get_args(Method))}")
    if method == "bonferroni":  # needs no order
        _check_range(values.min(), values.max())
        return _as_list(values * float(len(values)))
    order = values.argsort()
    ascending = values[order]
    _check_range(ascending[0], ascending[-1])
    adjusted = np.empty_like(values)
    adjusted[order] = STEPWISE[method](ascending)
    return _as_list(adjusted)


def _check_range(least: float, most: float) -> None:
    if least < 0 or most > 1:
        raise ValueError(f"p must lie between 0 and 1, got {least if least < 0 else most:g}")


def _as_list(adjusted: Numbers) -> list[float]:
    result: list[float] = np.minimum(1.0, adjusted).tolist()
    return result


def _holm(p: Numbers) -> Numbers:
    return np.maximum.accumulate(p * np.arange(float(len(p)), 0, -1))


def _hochberg(p: Numbers) -> Numbers:
    return _from_above(p * np.arange(float(len(p)), 0, -1))


def _bh(p: Numbers) -> Numbers:
    return _from_above(p * (len(p) / np.arange(1.0, len(p) + 1)))


def _by(p: Numbers) -> Numbers:
    return _bh(p * float((1 / np.arange(1.0, len(p) + 1)).sum()))


def _hommel(p: Numbers) -> Numbers:
    """Closed testing with Simes' test of every set of hypotheses.

    simes[i - 1] is the Simes p value of the i largest. At level alpha, p_k is rejected if m p_k <= alpha for the size m
    of the largest set that is not: p_k's adjusted value is the least max(m p_k, simes of all sets larger than m).
    """
    n = len(p)
    sizes = np.arange(1.0, n + 1)
    simes = np.array([i * (p[n - i :] / sizes[:i]).min() for i in range(1, n + 1)])
    larger = np.append(_running_max_from_above(simes), 0.0)  # larger[m]: the worst set of more than m
    crossing = np.searchsorted(-larger[1:] / sizes, -p) + 1  # the first m at which m p_k >= larger[m]
    adjusted: Numbers = np.minimum(crossing * p, larger[crossing - 1])
    return adjusted


def _from_above(p: Numbers) -> Numbers:
    """Each value or the least of those after it."""
    return np.minimum.accumulate(p[::-1])[::-1]


def _running_max_from_above(p: Numbers) -> Numbers:
    return np.maximum.accumulate(p[::-1])[::-1]


STEPWISE = {"holm": _holm, "bh": _bh, "by": _by, "hommel": _hommel, "hochberg": _hochberg}
