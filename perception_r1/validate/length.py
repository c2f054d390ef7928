"""Does a longer response earn more than it says? The slope of the judge's error in credit over length."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_r1.records import Judgement
from perception_r1.validate.gold import GoldVerdict

RESAMPLES = 2000
PER = 100  # tokens
_TOKEN = re.compile(r"\w+|[^\w\s]")


def length_slope(
    gold: Sequence[GoldVerdict], judgements: Sequence[Judgement], seed: int = 0
) -> tuple[float, float, float]:
    """The least-squares slope of (credit given - credit due) over 100 tokens, and its interval over problems.

    All three are 0 where all responses are equally long.
    """
    places = {problem: place for place, problem in enumerate(dict.fromkeys(row.problem for row in gold))}
    lengths = {row.response: 0.0 for row in gold}
    lengths = {text: len(_TOKEN.findall(text)) / PER for text in lengths}
    sums = np.zeros((len(places), 5))  # of each problem: n, x, y, xx, xy
    for row, judgement in zip(gold, judgements, strict=True):
        if judgement.verdict != "unknown":
            x, y = lengths[row.response], float(judgement.verdict == "supported") - float(row.label == "supported")
            sums[places[row.problem]] += (1, x, y, x * x, x * y)
    draws = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    low, high = np.quantile(_slope(draws @ sums), (0.025, 0.975))
    return float(_slope(sums.sum(axis=0))), float(low), float(high)


def _slope(sums: NDArray[Any]) -> Any:
    n, x, y, xx, xy = np.moveaxis(sums, -1, 0)
    spread = n * xx - x * x
    flat = spread <= 1e-12 * np.maximum(1.0, n * xx)
    return np.where(flat, 0.0, (n * xy - x * y) / np.where(flat, 1.0, spread))
