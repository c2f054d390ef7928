"""Resampling: where the answer is known it is that answer; elsewhere scipy, and the stated error."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from perception_r1.compare import mcnemar_exact, paired_bootstrap_ci, paired_signflip_permutation


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=300))
def test_on_binary_data_the_sign_flip_test_is_mcnemars_exact_test(differences: list[int]) -> None:
    found = paired_signflip_permutation(differences)
    assert found.pvalue == mcnemar_exact(differences.count(1), differences.count(-1)).pvalue
    assert (found.standard_error, found.n_resamples) == (0.0, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=11))
def test_mcnemars_exact_test_is_scipys_permutation_test(differences: list[int]) -> None:
    theirs = stats.permutation_test(
        (np.array(differences, float),),
        lambda x, axis: np.abs(x.sum(axis=axis)),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert paired_signflip_permutation(differences).pvalue == pytest.approx(theirs.pvalue, rel=1e-12)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # sums of +-1 +-2 +-4 are the odd numbers from -7 to 7: 7 is met by two of eight, |5| or more by four
        pytest.param([1, 2, 4], 2 / 8, id="all-one-way"),
        pytest.param([-1, 2, 4], 4 / 8, id="one-against"),
        pytest.param([0.1, 0.2, 0.3, -0.6], 1.0, id="no-mean: rounding must not break ties"),
        pytest.param([0.3, 0.1, 0.2], 2 / 8, id="ties-in-floats"),
        pytest.param([0.0, 0.0], 1.0, id="nothing-differs"),
    ],
)
def test_few_graded_differences_are_enumerated(differences: list[float], expected: float) -> None:
    found = paired_signflip_permutation(differences)
    assert (found.pvalue, found.n_resamples) == (expected, 0)


def test_many_graded_differences_are_sampled_with_a_stated_error() -> None:
    differences = np.repeat([0.5, -0.5], [40, 24])  # a scaled binary: the exact test is the truth
    found, truth = paired_signflip_permutation(differences, seed=3), mcnemar_exact(40, 24).pvalue
    assert found.n_resamples == 100_000
    assert found.standard_error == pytest.approx(math.sqrt(truth * (1 - truth) / 100_000), rel=0.05)
    assert abs(found.pvalue - truth) < 4 * found.standard_error
    assert paired_signflip_permutation(differences, seed=3) == found
    assert paired_signflip_permutation(differences, seed=4) != found


def test_a_sampled_p_value_is_never_0() -> None:
    assert paired_signflip_permutation([0.5] * 100, n_resamples=1000).pvalue == 1 / 1001


def test_clusters_are_flipped_whole() -> None:
    # sums by cluster 2, 2, 2: all one way, two of eight
    assert paired_signflip_permutation([1] * 6, clusters=["a", "a", "b", "b", "c", "c"]).pvalue == 2 / 8


def test_the_bootstrap_of_binary_data_is_a_binomial() -> None:
    found = paired_bootstrap_ci(np.repeat([1, 0], [30, 70]), n_resamples=20_000, seed=1)
    assert found.estimate == pytest.approx(0.3)
    truth = stats.binom.ppf([0.025, 0.975], 100, 0.3) / 100
    assert (found.low, found.high) == pytest.approx(tuple(truth), abs=0.0101)  # a step is 0.01


def test_the_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(5).normal(0.2, 1, 200)
    found = paired_bootstrap_ci(values, n_resamples=10_000, seed=2)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=9).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_a_seed_is_a_result() -> None:
    one, again = (paired_bootstrap_ci([1.0, 0, -1, 2.5], 500, 4) for _ in range(2))
    assert one == again
    assert (one.n_resamples, one.seed) == (500, 4)


def test_clusters_widen_the_interval() -> None:
    values, groups = np.repeat([1, 0, -1, 1], 25), np.repeat(["a", "b", "c", "d"], 25)
    items, clusters = paired_bootstrap_ci(values, 2000, 1), paired_bootstrap_ci(values, 2000, 1, clusters=groups)
    assert clusters.high - clusters.low > 3 * (items.high - items.low)
    assert items.estimate == clusters.estimate == 0.25


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=2, max_size=40))
def test_intervals_lie_within_the_data_and_mirror_in_law(values: list[float]) -> None:
    found = paired_bootstrap_ci(values, 200, 0)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert paired_signflip_permutation(values, 200).pvalue == pytest.approx(
        paired_signflip_permutation([-v for v in values], 200).pvalue
    )


def test_a_million_binary_items_are_quick() -> None:
    differences = np.repeat([1, 0, -1], [51_000, 900_000, 49_000])
    assert paired_bootstrap_ci(differences).low > 0
    assert paired_signflip_permutation(differences).pvalue == mcnemar_exact(51_000, 49_000).pvalue


BAD: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any], str]] = {
    "nothing": (paired_signflip_permutation, ([],), {}, "at least 1"),
    "one item": (paired_bootstrap_ci, ([1],), {}, "at least 2"),
    "NaN": (paired_bootstrap_ci, ([1, math.nan],), {}, "finite"),
    "bools": (paired_signflip_permutation, (np.array([True, False]),), {}, "must be numbers"),
    "a matrix": (paired_signflip_permutation, ([[1, 0]],), {}, "list of at least 1"),
    "a text": (paired_signflip_permutation, ("101",), {}, "must be numbers"),
    "few resamples": (paired_bootstrap_ci, ([1, 0], 10), {}, "n_resamples must"),
    "no seed": (paired_bootstrap_ci, ([1, 0], 200, None), {}, "seed must"),
    "clusters of other length": (paired_bootstrap_ci, ([1, 0],), {"clusters": ["a"]}, "2 items, 1 labels"),
    "alpha": (paired_bootstrap_ci, ([1, 0],), {"alpha": 2}, "alpha must"),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense_is_refused_by_name(name: str) -> None:
    function, arguments, named, says = BAD[name]
    with pytest.raises(ValueError, match=says):
        function(*arguments, **named)
