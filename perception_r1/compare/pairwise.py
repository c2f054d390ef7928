"""All models against each other on all benchmarks, from counted combinations of who is right: no item is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from perception_r1.compare.mcnemar import mcnemar_exact
from perception_r1.compare.multiplicity import adjust_pvalues

Counted = Sequence[tuple[int, int, int]]  # bits of the models that are right, bits of those that are known, items


@dataclass(frozen=True)
class PairwiseTest:
    """One pair of models on one benchmark; items of which an outcome is unknown are left out and counted."""

    benchmark: str
    first: str
    second: str
    a: int
    b: int
    c: int
    d: int
    items_left_out: int
    p_exact: float
    p_holm: float


def pairwise_mcnemar(studies: Mapping[str, tuple[Sequence[str], Counted]]) -> list[PairwiseTest]:
    """The exact test of every pair of models, by benchmark, adjusted by Holm as one family.

    studies: of each benchmark its models and the counted combinations; bit i is model i.
    """
    found = [
        PairwiseTest(benchmark, models[i], models[j], *cells, p_exact=mcnemar_exact(*cells[1:3]).pvalue, p_holm=1.0)
        for benchmark, (models, counted) in studies.items()
        for (i, j), cells in _cells(len(models), counted).items()
    ]
    adjusted = adjust_pvalues([test.p_exact for test in found]) if found else []
    return [replace(test, p_holm=p) for test, p in zip(found, adjusted, strict=True)]


def _cells(models: int, counted: Counted) -> dict[tuple[int, int], tuple[int, int, int, int, int]]:
    """a, b, c, d and the items left out, of every pair of models."""
    table = np.array(counted, dtype=np.int64).reshape(-1, 3)
    right, known = (_unpacked(table[:, column], models) for column in (0, 1))
    items, wrong = table[:, 2], known & ~right
    sums = [_together(one, other, items) for one in (right, wrong) for other in (right, wrong)]
    total = int(items.sum())
    of_pair = {pair: [int(matrix[pair]) for matrix in sums] for pair in combinations(range(models), 2)}
    return {pair: (a, b, c, d, total - a - b - c - d) for pair, (a, b, c, d) in of_pair.items()}


def _unpacked(bits: NDArray[np.int64], models: int) -> NDArray[np.bool_]:
    unpacked: NDArray[np.bool_] = (bits[:, None] >> np.arange(models) & 1).astype(bool)
    return unpacked


def _together(one: NDArray[np.bool_], other: NDArray[np.bool_], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many items each pair of models has so."""
    together: NDArray[np.int64] = (one * items[:, None]).T @ other.astype(np.int64)
    return together
