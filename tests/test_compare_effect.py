"""Intervals: published tables, the tests they invert, and what must hold for every table."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import proportion_confint

from perception_r1.compare import (
    conditional_odds_ratio,
    mcnemar_exact,
    paired_difference_ci,
    proportion_ci,
)

CELL = st.integers(0, 400)
POSITIVE = st.integers(1, 3000)
KINDS = ("newcombe", "tango", "bonett_price", "wald")


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        # Bentur et al. (2009) in Fagerland, Lydersen & Laake, Statistical Analysis of Contingency Tables, chapter 8
        pytest.param((1, 1, 7, 12), "newcombe", (-0.507, -0.026), id="Bentur-Newcombe"),
        pytest.param((1, 1, 7, 12), "tango", (-0.517, -0.026), id="Bentur-Tango"),
        pytest.param((1, 1, 7, 12), "wald", (-0.520, -0.052), id="Bentur-Wald"),
        # Newcombe, Statist Med 17:2635 (1998)
        pytest.param((36, 12, 2, 0), "newcombe", (0.057, 0.340), id="Newcombe-1998"),
    ],
)
def test_published_intervals_come_out(cells: tuple[int, ...], kind: str, expected: tuple[float, float]) -> None:
    found = getattr(paired_difference_ci(*cells), kind)
    assert [round(limit, 3) for limit in found] == list(expected)


def test_the_published_interval_with_four_digits_comes_out() -> None:
    # Cavo et al. (2012), same chapter
    found = paired_difference_ci(59, 6, 16, 80)
    assert [round(x, 4) for x in (found.difference, *found.newcombe)] == [-0.0621, -0.1186, -0.0046]


def test_wald_and_bonett_price_are_hand_arithmetic() -> None:
    found, z = paired_difference_ci(30, 12, 4, 4), stats.norm.isf(0.025)
    half = z * math.sqrt((16 / 50 - 0.16**2) / 50)
    assert found.wald == pytest.approx((0.16 - half, 0.16 + half), rel=1e-13)
    centre = 8 / 52  # (13 - 5) / 52
    half = z * math.sqrt((18 / 52 - centre**2) / 52)
    assert found.bonett_price == pytest.approx((centre - half, centre + half), rel=1e-13)


def test_without_discordant_pairs_the_score_interval_is_known() -> None:
    # the score test of delta rejects when n delta**2 > z**2 |delta| (1 - |delta|): |delta| = z**2 / (n + z**2)
    z2 = stats.norm.isf(0.025) ** 2
    found = paired_difference_ci(30, 0, 0, 10)
    assert found.tango == pytest.approx((-z2 / (40 + z2), z2 / (40 + z2)), rel=1e-12)
    assert found.wald == (0.0, 0.0)  # the known fault of the simple interval


@given(CELL, CELL, CELL, CELL, st.sampled_from([0.01, 0.05, 0.2]))
def test_intervals_contain_the_estimate_and_mirror(a: int, b: int, c: int, d: int, alpha: float) -> None:
    assume(a + b + c + d)
    found, mirrored = paired_difference_ci(a, b, c, d, alpha), paired_difference_ci(a, c, b, d, alpha)
    assert found.difference == -mirrored.difference == (b - c) / (a + b + c + d)
    for kind in KINDS:
        low, high = getattr(found, kind)
        assert -1 <= low <= high <= 1
        assert getattr(mirrored, kind) == pytest.approx((-high, -low), abs=1e-12)
        if kind != "bonett_price":  # its centre is shrunk towards 0
            assert low - 1e-12 <= found.difference <= high + 1e-12


@given(CELL, CELL, CELL, CELL)
def test_a_higher_confidence_is_a_wider_interval(a: int, b: int, c: int, d: int) -> None:
    assume(a + b + c + d)
    narrow, wide = paired_difference_ci(a, b, c, d, 0.1), paired_difference_ci(a, b, c, d, 0.01)
    for kind in KINDS:
        assert getattr(wide, kind).low <= getattr(narrow, kind).low + 1e-12
        assert getattr(wide, kind).high >= getattr(narrow, kind).high - 1e-12


def score(b: int, c: int, n: int, delta: float) -> float:
    """Tango's statistic with p01 found by maximising the likelihood numerically: a second way to the same root."""

    def minus_log_likelihood(p01: float) -> float:
        cells = np.array([p01 + delta, p01, 1 - 2 * p01 - delta])
        counts = np.array([b, c, n - b - c])
        return -float((counts[counts > 0] * np.log(np.maximum(cells[counts > 0], 1e-300))).sum())

    bounds = (max(0.0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12)
    p01 = optimize.minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((b - c - n * delta) / math.sqrt(n * (2 * p01 + delta * (1 - delta))))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 4, 50), (1, 7, 21), (40, 20, 160), (3, 0, 60), (0, 3, 60)], ids=str)
def test_tango_limits_are_where_the_score_test_just_rejects(b: int, c: int, n: int) -> None:
    z, found = stats.norm.isf(0.025), paired_difference_ci(n - b - c, b, c, 0).tango
    assert score(b, c, n, found.low) == pytest.approx(z, abs=1e-5)
    assert score(b, c, n, found.high) == pytest.approx(-z, abs=1e-5)


@given(POSITIVE, st.integers(0, 3000))
def test_the_score_interval_excludes_0_exactly_when_the_score_test_rejects(b: int, c: int) -> None:
    statistic = (b - c) ** 2 / (b + c)
    assume(abs(statistic - stats.chi2.isf(0.05, 1)) > 1e-6)
    low, high = paired_difference_ci(10, b, c, 10).tango
    assert (low > 0 or high < 0) == (statistic > stats.chi2.isf(0.05, 1))


@pytest.mark.parametrize(
    ("b", "c", "expected"),
    [
        pytest.param(10, 2, (5, 1.07, 46.9), id="ten-two"),
        pytest.param(5, 1, (5, 0.559, 236), id="five-one"),
    ],
)
def test_published_odds_ratios_come_out(b: int, c: int, expected: tuple[float, ...]) -> None:
    found = conditional_odds_ratio(b, c)
    assert (found.odds_ratio, found.exact_low, found.exact_high) == pytest.approx(expected, rel=5e-3)


@given(POSITIVE, POSITIVE)
def test_odds_ratios_are_statsmodels_and_turn_round(b: int, c: int) -> None:
    found, turned = conditional_odds_ratio(b, c), conditional_odds_ratio(c, b)
    low, high = proportion_confint(b, b + c, method="beta")
    assert (found.exact_low, found.exact_high) == pytest.approx((low / (1 - low), high / (1 - high)), rel=1e-8)
    half = stats.norm.isf(0.025) * Table2x2([[b, 1e300], [c, 1e300]]).log_oddsratio_se
    assert found.wald_low == pytest.approx(b / c * math.exp(-half), rel=1e-10)
    assert found.wald_high == pytest.approx(b / c * math.exp(half), rel=1e-10)
    assert found.exact_low <= found.odds_ratio <= found.exact_high
    assert turned.exact_high == pytest.approx(1 / found.exact_low, rel=1e-10)
    assert turned.wald_low == pytest.approx(1 / found.wald_high, rel=1e-10)


@given(POSITIVE, POSITIVE)
def test_exact_odds_exclude_1_exactly_when_the_exact_test_rejects(b: int, c: int) -> None:
    p, found = mcnemar_exact(b, c).pvalue, conditional_odds_ratio(b, c)
    assume(abs(p - 0.05) > 1e-9)
    assert (found.exact_low > 1 or found.exact_high < 1) == (p < 0.05)


@pytest.mark.parametrize(
    ("b", "c", "says"),
    [
        # Clopper-Pearson for 10 of 10: 0.025 ** (1 / 10) = 0.6915, odds 2.242
        pytest.param(10, 0, r"infinite, above 2\.242 with 0\.95", id="no-c"),
        pytest.param(0, 3, r"is 0, below 2\.42 with 0\.95", id="no-b"),
        pytest.param(0, 0, "never differ", id="neither"),
    ],
)
def test_infinite_odds_are_refused_with_the_limit_that_is_finite(b: int, c: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        conditional_odds_ratio(b, c)


@given(st.integers(0, 5000), st.integers(1, 5000), st.sampled_from([0.01, 0.05, 0.3]))
def test_proportion_intervals_are_statsmodels(k: int, n: int, alpha: float) -> None:
    k = k % (n + 1)
    found = proportion_ci(k, n, alpha)
    assert found.wilson == pytest.approx(proportion_confint(k, n, alpha, "wilson"), abs=1e-12)
    assert found.clopper_pearson == pytest.approx(proportion_confint(k, n, alpha, "beta"), abs=1e-10)
    assert found.wilson.low <= k / n <= found.wilson.high
    assert found.clopper_pearson.low <= k / n <= found.clopper_pearson.high


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(190, 200, 0.910, 0.973), (380, 400, 0.924, 0.967)], ids=["200", "400"]
)
def test_wilson_gives_the_published_plan_of_a_judge_study(k: int, n: int, low: float, high: float) -> None:
    assert [round(limit, 3) for limit in proportion_ci(k, n).wilson] == [low, high]


BAD: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no pairs": (paired_difference_ci, (0, 0, 0, 0), "at least 1"),
    "negative": (paired_difference_ci, (1, -2, 0, 0), "b must"),
    "float": (paired_difference_ci, (1, 2, 3.5, 0), "c must"),
    "bool": (paired_difference_ci, (1, 2, 3, True), "d must"),
    "alpha 0": (paired_difference_ci, (1, 2, 3, 4, 0.0), "alpha must"),
    "alpha 1": (paired_difference_ci, (1, 2, 3, 4, 1), "alpha must"),
    "alpha NaN": (conditional_odds_ratio, (1, 2, math.nan), "alpha must be finite"),
    "alpha a string": (conditional_odds_ratio, (1, 2, "5%"), "alpha must be a number"),
    "alpha a bool": (proportion_ci, (1, 2, True), "alpha must be a number"),
    "k above n": (proportion_ci, (3, 2), "k must be at most n: 3 of 2"),
    "n 0": (proportion_ci, (0, 0), "n must"),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense_is_refused_by_name(name: str) -> None:
    function, arguments, says = BAD[name]
    with pytest.raises(ValueError, match=says):
        function(*arguments)
