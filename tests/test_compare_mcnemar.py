"""The tests of b against c: hand values, scipy, statsmodels, whole-number arithmetic, and what must hold for all."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from perception_r1.compare import (
    bayes_beta_superiority,
    mcnemar_chi2,
    mcnemar_exact,
    mcnemar_exact_logp,
    mcnemar_midp,
    mcnemar_midp_logp,
    mcnemar_min_attainable_p,
)

COUNTS = st.integers(0, 3000)


def whole(b: int, c: int) -> tuple[Fraction, Fraction]:
    """The exact and mid-p values in whole numbers."""
    m, k = b + c, min(b, c)
    if b == c:
        return Fraction(1), Fraction(1)
    tail = sum(math.comb(m, i) for i in range(k + 1))
    return Fraction(2 * tail, 2**m), Fraction(2 * tail - math.comb(m, k), 2**m)


@pytest.mark.parametrize(
    ("b", "c", "exact", "midp"),
    [
        # 2 * sum(C(m, i), i <= k) / 2**m, and that less C(m, k) / 2**m
        pytest.param(1, 5, 14 / 64, 8 / 64, id="the-paper-RLVR-on-Qwen2"),
        pytest.param(2, 4, 44 / 64, 29 / 64, id="the-paper-RLVR-on-Qwen2.5"),
        pytest.param(2, 10, 158 / 4096, 92 / 4096, id="the-paper-Perception-R1"),
        pytest.param(0, 0, 1.0, 1.0, id="nothing-differs"),
        pytest.param(7, 7, 1.0, 1.0, id="a-tie"),
        pytest.param(0, 1, 1.0, 0.5, id="one-pair"),
        pytest.param(0, 5, 2 / 32, 1 / 32, id="five-one-way"),
        pytest.param(0, 6, 2 / 64, 1 / 64, id="six-one-way"),
    ],
)
def test_small_tables_give_the_values_of_hand_arithmetic(b: int, c: int, exact: float, midp: float) -> None:
    assert mcnemar_exact(b, c).pvalue == pytest.approx(exact, rel=1e-14)
    assert mcnemar_midp(b, c).pvalue == pytest.approx(midp, rel=1e-14)


def test_the_paper_says_its_p_values_rounded() -> None:
    assert [round(mcnemar_exact(*cells).pvalue, 2) for cells in ((1, 5), (2, 4), (2, 10))] == [0.22, 0.69, 0.04]
    assert round(mcnemar_exact(3, 9).pvalue, 3) == 0.146  # had one of its items moved
    assert round(mcnemar_exact(2, 9).pvalue, 3) == 0.065  # had one of them been a tie


def test_the_statistic_is_the_smaller_count() -> None:
    result = mcnemar_exact(10, 2)
    assert (result.statistic, result.n_discordant) == (2, 12)


@given(st.integers(0, 200), st.integers(0, 200))
def test_p_values_are_those_of_whole_number_arithmetic(b: int, c: int) -> None:
    exact, midp = whole(b, c)
    assert mcnemar_exact(b, c).pvalue == pytest.approx(float(exact), rel=1e-11)
    assert mcnemar_midp(b, c).pvalue == pytest.approx(float(midp), rel=1e-11)


@given(COUNTS, COUNTS)
def test_exact_is_scipy_and_statsmodels(b: int, c: int) -> None:
    p = mcnemar_exact(b, c).pvalue
    assert p == pytest.approx(mcnemar([[0, b], [c, 0]], exact=True).pvalue, rel=1e-10)
    if b + c:
        assert p == pytest.approx(stats.binomtest(b, b + c).pvalue, rel=1e-10)


@given(COUNTS, COUNTS, st.booleans())
def test_chi2_is_statsmodels_but_for_ties(b: int, c: int, continuity: bool) -> None:
    found = mcnemar_chi2(b, c, continuity)
    if b == c:  # statsmodels gives 1 / (b + c) with the correction, and NaN for an empty table
        assert (found.statistic, found.pvalue) == (0.0, 1.0)
        return
    theirs = mcnemar([[0, b], [c, 0]], exact=False, correction=continuity)
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-12)
    assert found.pvalue == pytest.approx(theirs.pvalue, rel=1e-10, abs=1e-300)


def test_chi2_keeps_small_p_values() -> None:
    # 1 - cdf would be 0 here; 2 P(Z > sqrt(8100 / 110)) by the normal's own tail
    assert mcnemar_chi2(100, 10).pvalue == pytest.approx(2 * stats.norm.sf(90 / math.sqrt(110)), rel=1e-10)


@pytest.mark.parametrize(
    ("b", "c"), [(499_000, 501_000), (490_000, 510_000), (482_000, 518_000), (0, 1000), (499_999, 500_001)], ids=str
)
def test_a_million_discordant_pairs_are_as_exact_as_scipy_is(b: int, c: int) -> None:
    k, m = min(b, c), b + c
    twice = stats.binom.cdf(k, m, 0.5) * 2
    assert mcnemar_exact(b, c).pvalue == pytest.approx(twice, rel=1e-10)
    assert mcnemar_midp(b, c).pvalue == pytest.approx(twice - stats.binom.pmf(k, m, 0.5), rel=1e-7)


@pytest.mark.parametrize(("b", "c"), [(0, 1500), (3, 2000), (100, 9900), (1500, 4500)], ids=str)
def test_a_p_value_too_small_for_a_double_has_its_log(b: int, c: int) -> None:
    exact, midp = whole(b, c)
    assert mcnemar_exact(b, c).pvalue == 0.0
    assert mcnemar_exact_logp(b, c) == pytest.approx(log(exact), rel=1e-11)
    assert mcnemar_midp_logp(b, c) == pytest.approx(log(midp), rel=1e-11)


def log(value: Fraction) -> float:
    """The log of a fraction whose parts are too long for a double."""
    return math.log(value.numerator) - math.log(value.denominator)


@pytest.mark.parametrize("b", [27, 28, 29, 30, 31, 40], ids=str)
def test_the_log_has_no_step_where_the_way_to_it_changes(b: int) -> None:
    exact, midp = whole(b, 1100)  # p values around 1e-290
    assert mcnemar_exact_logp(b, 1100) == pytest.approx(log(exact), rel=1e-11)
    assert mcnemar_midp_logp(b, 1100) == pytest.approx(log(midp), rel=1e-11)


def test_logs_of_ordinary_p_values_are_their_logs() -> None:
    assert mcnemar_exact_logp(2, 10) == pytest.approx(math.log(158 / 4096), rel=1e-14)
    assert mcnemar_midp_logp(2, 10) == pytest.approx(math.log(92 / 4096), rel=1e-14)
    assert mcnemar_exact_logp(0, 0) == mcnemar_midp_logp(3, 3) == 0.0


def test_the_log_of_the_most_extreme_million_is_minus_a_million_log_2() -> None:
    assert mcnemar_exact_logp(0, 10**6) == pytest.approx(math.log(2) * (1 - 10**6), rel=1e-12)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_p_values_are_symmetric_and_ordered(b: int, c: int) -> None:
    exact, midp = mcnemar_exact(b, c), mcnemar_midp(b, c)
    assert exact == mcnemar_exact(c, b)
    assert midp == mcnemar_midp(c, b)
    assert mcnemar_chi2(b, c) == mcnemar_chi2(c, b)
    assert 0 <= midp.pvalue <= exact.pvalue <= 1
    assert mcnemar_min_attainable_p(b + c).exact <= exact.pvalue * (1 + 1e-12)
    assert mcnemar_min_attainable_p(b + c).midp <= midp.pvalue * (1 + 1e-12)


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_moving_a_pair_towards_a_tie_never_lowers_p(m: int, k: int) -> None:
    k = k % ((m + 1) // 2)  # below m / 2
    assert mcnemar_exact(k, m - k).pvalue <= mcnemar_exact(k + 1, m - k - 1).pvalue
    assert mcnemar_midp(k, m - k).pvalue <= mcnemar_midp(k + 1, m - k - 1).pvalue
    assert mcnemar_chi2(k, m - k).pvalue <= mcnemar_chi2(k + 1, m - k - 1).pvalue


@pytest.mark.parametrize(
    ("m", "exact", "midp"),
    [(0, 1.0, 1.0), (1, 1.0, 0.5), (4, 0.125, 0.0625), (5, 0.0625, 0.03125), (6, 0.03125, 0.015625)],
    ids=str,
)
def test_six_pairs_are_needed_for_exact_significance_and_five_for_midp(m: int, exact: float, midp: float) -> None:
    found = mcnemar_min_attainable_p(m)
    assert (found.exact, found.midp) == (exact, midp) == (mcnemar_exact(0, m).pvalue, mcnemar_midp(0, m).pvalue)


@pytest.mark.parametrize(
    ("b", "c", "prior", "expected"),
    [
        # P(theta > 1/2) under Beta(1 + b, 1 + c) is P(X <= b) for X ~ Bin(b + c + 1, 1/2)
        pytest.param(10, 2, (1, 1), 1 - (1 + 13 + 78) / 2**13, id="ten-two"),
        pytest.param(5, 1, (1, 1), 1 - (1 + 7) / 2**7, id="five-one"),
        pytest.param(4, 2, (1, 1), 1 - (1 + 7 + 21) / 2**7, id="four-two"),
        pytest.param(0, 0, (1, 1), 0.5, id="nothing-seen"),
        pytest.param(0, 0, (2, 1), 0.75, id="a-prior-that-leans"),
    ],
)
def test_the_posterior_is_a_binomial_sum(b: int, c: int, prior: tuple[float, float], expected: float) -> None:
    assert bayes_beta_superiority(b, c, prior).prob_b_gt_half == pytest.approx(expected, rel=1e-13)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_posterior_of_the_other_model_is_the_rest(b: int, c: int) -> None:
    one, other = bayes_beta_superiority(b, c).prob_b_gt_half, bayes_beta_superiority(c, b).prob_b_gt_half
    assert one + other == pytest.approx(1, abs=1e-12)
    assert one == pytest.approx(stats.beta.sf(0.5, 1 + b, 1 + c), rel=1e-9, abs=1e-300)


NO_COUNTS: dict[str, Any] = {
    "negative": -1,
    "a bool": True,
    "a numpy bool": np.bool_(True),
    "a float": 2.0,
    "NaN": math.nan,
    "a string": "2",
    "None": None,
    "a list": [2],
    "beyond a thousand million": 10**9 + 1,
}


@pytest.mark.parametrize("name", NO_COUNTS)
@pytest.mark.parametrize("function", [mcnemar_exact, mcnemar_midp, mcnemar_chi2, bayes_beta_superiority])
def test_what_is_no_count_is_refused_by_name(function: Any, name: str) -> None:
    with pytest.raises(ValueError, match="b must"):
        function(NO_COUNTS[name], 3)
    with pytest.raises(ValueError, match="c must"):
        function(3, NO_COUNTS[name])
    with pytest.raises(ValueError, match="n_discordant must"):
        mcnemar_min_attainable_p(NO_COUNTS[name])


@pytest.mark.parametrize("prior", [(0, 1), (-1, 2), (1,), (1, 1, 1), 3, (math.inf, 1), ("a", "b")], ids=repr)
def test_a_prior_that_is_none_is_refused(prior: Any) -> None:
    with pytest.raises(ValueError, match="prior must"):
        bayes_beta_superiority(1, 2, prior)


def test_whole_numbers_of_numpy_are_counts() -> None:
    assert mcnemar_exact(np.int64(2), np.uint8(10)) == mcnemar_exact(2, 10)


def test_a_result_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        mcnemar_exact(2, 10).pvalue = 0.0  # type: ignore[misc]


def test_logs_of_p_take_the_small_integers_of_numpy() -> None:
    assert mcnemar_exact_logp(np.int16(100), np.int16(32700)) == mcnemar_exact_logp(100, 32700)
    assert mcnemar_midp_logp(np.int8(3), 10**6) == mcnemar_midp_logp(3, 10**6)
