"""Power and size of study: published anchors and the definition itself, summed table by table."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from perception_r1.compare import mcnemar_exact, mcnemar_midp, mcnemar_power, mcnemar_sample_size, paper_check

RATE = st.floats(0.01, 0.49)


def summed(n: int, p10: float, p01: float, alpha: float, test: Any) -> float:
    """The definition: the probability of all tables that the test rejects."""
    tables = ((b, c) for b in range(n + 1) for c in range(n + 1 - b))
    law = stats.multinomial(n, [p10, p01, 1 - p10 - p01])
    return sum(float(law.pmf([b, c, n - b - c])) for b, c in tables if test(b, c).pvalue <= alpha)


@pytest.mark.parametrize(
    ("n", "p10", "p01", "alpha"),
    [
        pytest.param(24, 0.3, 0.1, 0.05, id="ordinary"),
        pytest.param(20, 0.25, 0.25, 0.05, id="no-difference: the size"),
        pytest.param(12, 0.5, 0.1, 0.0625, id="alpha-that-is-attained"),
        pytest.param(15, 0.7, 0.3, 0.1, id="all-pairs-differ"),
        pytest.param(9, 1.0, 0.0, 0.05, id="one-model-always-wins"),
        pytest.param(9, 0.0, 0.6, 0.01, id="one-way-only"),
        pytest.param(1, 0.5, 0.2, 0.05, id="one-pair"),
        pytest.param(14, 0.4, 0.1, 0.6, id="a-level-above-one-half"),
    ],
)
def test_power_is_the_probability_of_the_tables_that_reject(n: int, p10: float, p01: float, alpha: float) -> None:
    found = mcnemar_power(n, p10, p01, alpha)
    assert found.exact_test == pytest.approx(summed(n, p10, p01, alpha, mcnemar_exact), abs=1e-11)
    assert found.midp_test == pytest.approx(summed(n, p10, p01, alpha, mcnemar_midp), abs=1e-11)


@pytest.mark.parametrize(
    ("p10", "p01", "exact", "midp"),
    [
        pytest.param(0.10, 0.02, 0.196, 0.309, id="RLVR-on-Qwen2"),
        pytest.param(0.08, 0.04, 0.046, 0.089, id="RLVR-on-Qwen2.5"),
        pytest.param(0.20, 0.04, 0.566, 0.661, id="Perception-R1"),
    ],
)
def test_the_papers_null_results_had_little_power(p10: float, p01: float, exact: float, midp: float) -> None:
    found = mcnemar_power(50, p10, p01)
    assert (round(found.exact_test, 3), round(found.midp_test, 3)) == (exact, midp)


def test_connor_flatters_small_studies() -> None:
    assert round(mcnemar_power(50, 0.10, 0.02).connor, 3) == 0.368  # exact .196


@pytest.mark.parametrize(
    ("p10", "p01", "connor", "exact"),
    [(0.10, 0.05, 469, 498), (0.20, 0.04, 72, 76), (0.08, 0.05, 1132, 1185)],
    ids=["10-vs-5", "20-vs-4", "8-vs-5"],
)
def test_known_sizes_of_study_come_out(p10: float, p01: float, connor: int, exact: int) -> None:
    found = mcnemar_sample_size(p10, p01)
    assert (found.connor, found.exact_test) == (connor, exact)


@pytest.mark.parametrize(
    ("p10", "p01", "alpha", "power"),
    [
        (0.3, 0.1, 0.05, 0.8),
        (0.7, 0.3, 0.05, 0.9),
        (0.9, 0.1, 0.01, 0.8),
        (0.65, 0.35, 0.1, 0.7),
        (1.0, 0.0, 0.05, 0.8),
    ],
    ids=str,
)
def test_the_exact_size_is_the_first_of_all_with_the_power(p10: float, p01: float, alpha: float, power: float) -> None:
    found = mcnemar_sample_size(p10, p01, alpha, power).exact_test
    reached = [n for n in range(1, found + 1) if mcnemar_power(n, p10, p01, alpha).exact_test >= power]
    assert reached == [found]


@settings(max_examples=40)
@given(RATE, RATE, st.integers(1, 400), st.sampled_from([0.01, 0.05, 0.2]))
def test_power_is_symmetric_bounded_and_larger_for_midp(p10: float, p01: float, n: int, alpha: float) -> None:
    found, turned = mcnemar_power(n, p10, p01, alpha), mcnemar_power(n, p01, p10, alpha)
    assert found.exact_test == pytest.approx(turned.exact_test, abs=1e-12)
    assert found.midp_test == pytest.approx(turned.midp_test, abs=1e-12)
    assert 0 <= found.exact_test <= found.midp_test <= 1
    assert mcnemar_power(n, p10, p10, alpha).exact_test <= alpha + 1e-12  # exact never exceeds its level


@settings(max_examples=40)
@given(st.floats(0.01, 0.35), st.integers(1, 300))
def test_a_larger_effect_has_more_power(p01: float, n: int) -> None:
    powers = [mcnemar_power(n, p01 + effect, p01 * (1 - effect)).exact_test for effect in (0.05, 0.15, 0.3)]
    assert powers == sorted(powers)


def test_thousands_of_pairs_are_no_trouble() -> None:
    # by the normal law of (b - c) / n at n = 10**6; the exact test is as good as that here
    delta, differ, n = 0.0005, 0.1005, 10**6
    se = math.sqrt((differ - delta**2) / n)
    expected = float(stats.norm.sf(stats.norm.isf(0.025) * math.sqrt(differ / n) / se - delta / se))
    assert mcnemar_power(n, 0.0505, 0.05).exact_test == pytest.approx(expected, abs=3e-3)


def test_the_papers_tests_are_checked_in_one_table() -> None:
    rows = paper_check()
    assert [(row.b, row.c) for row in rows] == [(1, 5), (2, 4), (2, 10)]
    assert [round(row.exact_p, 2) for row in rows] == [row.reported for row in rows] == [0.22, 0.69, 0.04]
    assert [round(row.holm_exact, 4) for row in rows] == [0.4375, 0.6875, 0.1157]
    assert round(rows[2].holm_midp, 3) == 0.067
    assert [round(row.power_exact, 3) for row in rows] == [0.196, 0.046, 0.566]
    assert (rows[2].needed_connor, rows[2].needed_exact) == (72, 76)


BAD: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no pairs": (mcnemar_power, (0, 0.1, 0.05), "n must"),
    "too many pairs": (mcnemar_power, (10**8, 0.1, 0.05), "n must be at most"),
    "half a pair": (mcnemar_power, (50.5, 0.1, 0.05), "n must"),
    "rates above 1": (mcnemar_power, (50, 0.6, 0.5), "p10 . p01 must be at most 1"),
    "negative rate": (mcnemar_power, (50, -0.1, 0.5), "p10 must"),
    "NaN": (mcnemar_power, (50, 0.1, math.nan), "p01 must be finite"),
    "a bool": (mcnemar_power, (50, True, 0.0), "p10 must be a number"),
    "never differ": (mcnemar_power, (50, 0.0, 0.0), "nothing to test"),
    "alpha": (mcnemar_power, (50, 0.1, 0.05, 1.0), "alpha must"),
    "no effect": (mcnemar_sample_size, (0.1, 0.1), "no number of pairs"),
    "too small an effect": (mcnemar_sample_size, (0.1, 0.1001), "are no plan"),
    "power below alpha": (mcnemar_sample_size, (0.1, 0.05, 0.3, 0.2), "power must exceed alpha"),
    "power 1": (mcnemar_sample_size, (0.1, 0.05, 0.05, 1.0), "power must"),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense_is_refused_by_name(name: str) -> None:
    function, arguments, says = BAD[name]
    with pytest.raises(ValueError, match=says):
        function(*arguments)
