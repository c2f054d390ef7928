"""What may come in: each check returns the clean value or raises ValueError with what was expected and what came."""

import math
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Numbers = NDArray[np.float64]
MOST = 10**9  # the incomplete beta function behind the exact tests is checked up to here
LARGEST = 1e100  # its square is still a double
LEAST_ALPHA = 1e-12  # Bonferroni for 5e10 tests at 0.05; quantiles beyond are not checked


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def count(value: Any, name: str, least: int = 0) -> int:
    """The value as an int of at least `least`; bools and floats are no counts, whole or not."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be a whole number (int), got {value!r}")
    if not least <= value <= MOST:
        raise ValueError(f"{name} must lie between {least:,} and {MOST:,}, got {value!r}")
    return int(value)


def switch(value: Any, name: str) -> bool:
    """The value as a bool: a text like "no" is true to Python."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def number(value: Any, name: str) -> float:
    """The value as a finite float."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name} must be a number, got {value!r}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return result


def rate(value: Any, name: str) -> float:
    """The value as a float from 0 to 1, both included."""
    result = number(value, name)
    if not 0 <= result <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    return result


def between(value: Any, name: str) -> float:
    """The value as a float strictly between 0 and 1: an alpha, a power."""
    result = number(value, name)
    if not LEAST_ALPHA <= result <= 1 - LEAST_ALPHA:
        raise ValueError(
            f"{name} must lie between 0 and 1 (from {LEAST_ALPHA:g} to 1 - {LEAST_ALPHA:g}), got {value!r}"
        )
    return result


def numbers(values: Any, name: str, least: int = 1, bools: bool = False) -> Numbers:
    """The values as a vector of finite floats, at least `least` of them; bools only where they mean right or wrong."""
    array = as_array(values, name, bools)
    if array.ndim != 1 or array.size < least:
        raise ValueError(f"{name} must be a list of at least {least} numbers, got shape {array.shape}")
    return array


def as_array(values: Any, name: str, bools: bool = False) -> Numbers:
    """The values as an array of finite floats, of any shape."""
    try:
        array = np.asarray(
            list(values)
            if isinstance(values, Iterable) and not isinstance(values, list) and not hasattr(values, "__array__")
            else values
        )
    except ValueError:
        raise ValueError(f"{name} must have rows of one length, got {values!r}") from None
    if array.size and array.dtype.kind not in ("iufb" if bools else "iuf"):
        raise ValueError(f"{name} must be numbers, got {array.dtype} {array.ravel()[:3].tolist()}")
    if not bools and _hides_bools(values):
        raise ValueError(f"{name} must be numbers, got a bool among them")
    result: Numbers = array.astype(np.float64, copy=False)
    if not (usable := np.abs(result) <= LARGEST).all():  # False for NaN, too
        raise ValueError(f"{name} must be finite (at most {LARGEST:g} in size), got {result[~usable][0]}")
    return result


def _hides_bools(values: Any) -> bool:
    """True if a list mixes bools into its numbers, which numpy would turn into 0 and 1."""
    if not isinstance(values, list | tuple):
        return False
    kinds = set(map(type, values))
    return bool(kinds & {bool, np.bool_}) or (bool(kinds & {list, tuple}) and any(map(_hides_bools, values)))


def rows(values: Any, name: str, columns: tuple[str, ...]) -> NDArray[np.int64]:
    """The values as a matrix of counts with these columns and at least one row."""
    array = as_array(values, name)
    if array.ndim != 2 or array.shape[1] != len(columns) or not len(array):
        raise ValueError(f"{name} must be rows of {', '.join(columns)}, at least one; got shape {array.shape}")
    bad = array[(array < 0) | (array != np.floor(array)) | (array > MOST)]
    if bad.size:
        raise ValueError(f"{name} must hold counts from 0 to {MOST:,}, got {bad[0]:g}")
    return array.astype(np.int64)


def labels(values: Iterable[Hashable], name: str, length: int) -> NDArray[np.intp]:
    """The labels as codes 0, 1, 2, ... in order of first appearance; labels are equal when Python says so."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of labels, got {values!r}")
    codes: dict[Hashable, int] = {}
    try:
        found = [codes.setdefault(value, len(codes)) for value in values]
    except TypeError as error:
        raise ValueError(f"{name} must be labels that can be told apart: {error}") from None
    if any(label is None or label != label for label in codes):  # NaN differs from itself
        raise ValueError(f"{name} must not hold None or NaN: say which cluster each item belongs to")
    if len(found) != length:
        raise ValueError(f"{name} must have one label an item: {length:,} items, {len(found):,} labels")
    return np.array(found, dtype=np.intp)


def normal_quantile(alpha: float) -> float:
    """The z that a standard normal exceeds in absolute value with probability alpha."""
    return float(-special.ndtri(alpha / 2))


def chi2_pvalue(statistic: float, df: int) -> float:
    """The upper tail of chi squared: never 1 - cdf, which is 0 from 1e-16 on."""
    return float(special.chdtrc(df, statistic)) if df else 1.0
