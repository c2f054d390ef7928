"""Whatever comes in, every function answers in finite numbers or raises ValueError: never NaN, never another error."""

import contextlib
import math
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_r1 import compare

COUNT = st.sampled_from([0, 1, 2, 7, 10**6, 10**9]) | st.integers(0, 50)
ODD = st.sampled_from([-1, True, 1.5, math.nan, math.inf, None, "3", [], np.int32(4), 10**30, 10**400])
ANY_COUNT = COUNT | COUNT | COUNT | ODD
RATE = st.sampled_from([0.0, 1.0, 1e-300, 1e-9, 0.5, 1 - 1e-16]) | st.floats(0, 1) | ODD
LEVEL = st.sampled_from([0.05, 1e-12, 1 - 1e-12, 0.999, 0.0, 5e-324]) | st.floats(0, 1) | ODD
VALUE = st.floats(-1e6, 1e6) | st.sampled_from(
    [-1, 0, 1, 1e-300, 1e100, 1e308, 10**400, math.nan, math.inf, None, True]
)
VALUES = st.lists(VALUE, max_size=8) | st.lists(st.sampled_from([-1, 0, 1]), max_size=30) | ODD
LABELS = st.lists(st.sampled_from(["a", "b", 1, None, math.nan, []]), max_size=8) | st.just("ab") | ODD
ROWS = st.lists(st.lists(ANY_COUNT, min_size=1, max_size=4), max_size=4) | ODD
MATRIX = st.lists(st.lists(VALUE, min_size=2, max_size=2), min_size=2, max_size=5) | ROWS
SMALL = st.integers(0, 3000) | ODD  # of a study that is planned
ERRORS = st.builds(
    compare.JudgeErrors,
    st.floats(0, 1),
    st.floats(0, 1),
    st.none() | st.integers(1, 99),
    st.none() | st.integers(1, 99),
)
CALLS: dict[str, tuple[Any, tuple[st.SearchStrategy[Any], ...]]] = {
    "mcnemar_exact": (compare.mcnemar_exact, (ANY_COUNT, ANY_COUNT)),
    "mcnemar_midp": (compare.mcnemar_midp, (ANY_COUNT, ANY_COUNT)),
    "mcnemar_exact_logp": (compare.mcnemar_exact_logp, (ANY_COUNT, ANY_COUNT)),
    "mcnemar_midp_logp": (compare.mcnemar_midp_logp, (ANY_COUNT, ANY_COUNT)),
    "mcnemar_chi2": (compare.mcnemar_chi2, (ANY_COUNT, ANY_COUNT, st.booleans() | ODD)),
    "mcnemar_min_attainable_p": (compare.mcnemar_min_attainable_p, (ANY_COUNT,)),
    "paired_difference_ci": (compare.paired_difference_ci, (*[ANY_COUNT] * 4, LEVEL)),
    "conditional_odds_ratio": (compare.conditional_odds_ratio, (ANY_COUNT, ANY_COUNT, LEVEL)),
    "cochrans_q": (compare.cochrans_q, (ROWS,)),
    "adjust_pvalues": (compare.adjust_pvalues, (VALUES | st.lists(RATE), st.sampled_from(["holm", "by", "hommel", 3]))),
    "stratified_mcnemar": (compare.stratified_mcnemar, (ROWS,)),
    "clustered_mcnemar": (compare.clustered_mcnemar, (st.lists(st.tuples(*[ANY_COUNT] * 4), max_size=4), LEVEL)),
    "mcnemar_power": (compare.mcnemar_power, (SMALL, RATE, RATE, LEVEL)),
    "mcnemar_sample_size": (compare.mcnemar_sample_size, (st.floats(0, 1), st.floats(0, 0.2), LEVEL, LEVEL)),
    "item_seed_difference": (compare.item_seed_difference, (MATRIX, st.none() | LABELS, LEVEL)),
    "proportion_ci": (compare.proportion_ci, (ANY_COUNT, ANY_COUNT, LEVEL)),
    "clustered_se": (compare.clustered_se, (VALUES, LABELS)),
    "paired_bootstrap_ci": (compare.paired_bootstrap_ci, (VALUES, st.just(100), ANY_COUNT)),
    "paired_signflip_permutation": (compare.paired_signflip_permutation, (VALUES, st.just(100), ANY_COUNT)),
    "bayes_beta_superiority": (compare.bayes_beta_superiority, (ANY_COUNT, ANY_COUNT, VALUES)),
    "judge_agreement": (compare.judge_agreement, (*[ANY_COUNT] * 4, LEVEL)),
    "rogan_gladen": (compare.rogan_gladen, (RATE, ANY_COUNT, RATE, ANY_COUNT, RATE, ANY_COUNT, LEVEL)),
    "misclassification_forward": (compare.paired_misclassification_forward, (VALUES, ERRORS, ERRORS)),
    "misclassification_inverse": (compare.paired_misclassification_inverse, (VALUES, ERRORS, ERRORS, LEVEL)),
    "ppi_paired_difference": (compare.ppi_paired_difference, (VALUES, VALUES, VALUES, LEVEL)),
}
MAY_BE_NONE = {"pooled_or"}


def numbers_of(result: Any) -> list[float]:
    """Every number in a result."""
    if is_dataclass(result) and not isinstance(result, type):
        return [
            n for name, v in asdict(result).items() if v is not None or name not in MAY_BE_NONE for n in numbers_of(v)
        ]
    return [n for value in result for n in numbers_of(value)] if isinstance(result, list | tuple) else [result]


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_the_answer_is_finite_or_a_refusal(name: str, data: st.DataObject) -> None:
    function, arguments = CALLS[name]
    given_ = [data.draw(argument) for argument in arguments]
    with contextlib.suppress(ValueError):
        numbers = numbers_of(function(*given_))
        assert all(type(number) in (int, float) and math.isfinite(number) for number in numbers), numbers


def test_every_public_function_is_asked() -> None:
    asked = {function.__name__ for function, _ in CALLS.values()}
    public = {name for name in compare.__all__ if name[0].islower()}
    assert public - asked == {
        *("pair_outcomes", "read_outcomes", "paper_check", "paired_misclassification"),
        *("compare_models", "spread"),  # of whole studies: test_family.py
        "pairwise_mcnemar",  # test_pairwise.py
    }
