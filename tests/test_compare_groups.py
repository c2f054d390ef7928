"""Strata, clusters, families: hand values, statsmodels, published anchors."""

import gc
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.contingency_tables import cochrans_q as sm_cochrans_q
from statsmodels.stats.multitest import multipletests

from perception_r1.compare import (
    adjust_pvalues,
    clustered_mcnemar,
    clustered_se,
    cochrans_q,
    mcnemar_chi2,
    mcnemar_exact,
    mcnemar_midp,
    stratified_mcnemar,
)

PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8)
CLUSTERS = st.lists(st.tuples(*[st.integers(0, 6)] * 4).filter(any), min_size=2, max_size=30)


def test_the_pooled_statistic_is_cochran_mantel_haenszel_with_a_stratum_a_pair() -> None:
    strata = [(10, 2), (5, 4), (3, 6)]
    b, c = 18, 12
    pairs = [np.array([[1, 0], [0, 1]])] * b + [np.array([[0, 1], [1, 0]])] * c  # rows model, columns right or wrong
    theirs = StratifiedTable([pair.astype(float) for pair in pairs]).test_null_odds()
    found = stratified_mcnemar(strata)
    assert found.pooled_statistic == pytest.approx(theirs.statistic, rel=1e-12)
    assert found.pooled_pvalue == pytest.approx(theirs.pvalue, rel=1e-10)
    assert found.pooled_or == b / c


def test_heterogeneity_is_the_chi_squared_test_of_a_table() -> None:
    strata = [(10, 2), (5, 4), (3, 6), (0, 0)]
    theirs = stats.chi2_contingency(np.array(strata[:3]), correction=False)
    found = stratified_mcnemar(strata)  # the stratum without discordant pairs says nothing
    assert found.heterogeneity_statistic == pytest.approx(theirs.statistic, rel=1e-12)
    assert (found.heterogeneity_df, found.heterogeneity_pvalue) == (2, pytest.approx(theirs.pvalue, rel=1e-10))


def test_stouffer_is_scipy_on_signed_roots() -> None:
    strata = [(10, 2), (5, 4), (3, 6)]
    z = [8 / math.sqrt(12), 1 / math.sqrt(9), -3 / math.sqrt(9)]
    theirs = stats.combine_pvalues(stats.norm.sf(z), method="stouffer")
    found = stratified_mcnemar(strata)
    assert found.stouffer_z == pytest.approx(theirs.statistic, rel=1e-12)
    assert found.stouffer_pvalue == pytest.approx(2 * theirs.pvalue, rel=1e-10)


@pytest.mark.parametrize(
    ("strata", "odds", "exact"),
    [
        pytest.param([(3, 0), (3, 0)], None, 2 / 64, id="all-to-the-first: the odds have no finite value"),
        pytest.param([(0, 3), (0, 3)], 0.0, 2 / 64, id="all-to-the-second"),
        pytest.param([(0, 0)], None, 1.0, id="nothing-differs"),
    ],
)
def test_one_sided_strata_have_their_p_value(strata: Any, odds: float | None, exact: float) -> None:
    found = stratified_mcnemar(strata)
    assert (found.pooled_or, found.pooled_exact_pvalue) == (odds, exact)
    assert (found.heterogeneity_statistic, found.heterogeneity_pvalue) == (0.0, 1.0)


@given(PAIRS)
def test_pooling_is_the_test_of_the_sums(strata: list[tuple[int, int]]) -> None:
    b, c = (sum(column) for column in zip(*strata, strict=True))
    found, mirrored = stratified_mcnemar(strata), stratified_mcnemar([(y, x) for x, y in strata])
    assert found.pooled_statistic == mcnemar_chi2(b, c).statistic
    assert found.pooled_exact_pvalue == mcnemar_exact(b, c).pvalue
    assert found.pooled_midp == mcnemar_midp(b, c).pvalue
    assert found.stouffer_z == pytest.approx(-mirrored.stouffer_z, abs=1e-12)
    assert found.heterogeneity_statistic == pytest.approx(mirrored.heterogeneity_statistic, abs=1e-9)


# Patients' glands under two scans, Obuchowski (1998) as shipped with R's clust.bin.pair, which documents 2.8571 and
# p = .09097. The first six patients are listed there; all that the tests see of the other fifteen is that the
# differences c - b of all 21 sum to 6 and their squares to 12: (20 / 21) * 6**2 / 12 = 20 / 7.
THYROIDS = [(0, 0, 2, 1), (2, 0, 1, 0), (3, 0, 0, 0), (1, 0, 0, 0), (2, 0, 1, 0), (4, 0, 0, 0)]
THYROIDS_LIKE = [*THYROIDS, (1, 0, 2, 0), (1, 0, 1, 0), (2, 1, 0, 0), *[(2, 0, 0, 0)] * 12]


def test_thyroids_give_the_published_obuchowski() -> None:
    found = clustered_mcnemar(THYROIDS_LIKE)
    assert (found.K, found.yang_statistic) == (21, pytest.approx(3.0, rel=1e-13))
    assert found.obuchowski_statistic == pytest.approx(20 / 7, rel=1e-13)
    assert round(found.obuchowski_pvalue, 5) == 0.09097


def test_clustered_statistics_are_hand_arithmetic() -> None:
    found = clustered_mcnemar([(1, 2, 0, 1), (0, 1, 1, 0), (2, 3, 0, 0), (1, 0, 1, 2)])
    # b - c: 2, 0, 3, -1; sizes 4, 2, 5, 4; b = 6, c = 2, N = 15, D = 4 / 15
    assert (found.K, found.N, found.difference) == (4, 15, 4 / 15)
    assert found.naive_mcnemar_statistic == 16 / 8
    assert found.yang_statistic == pytest.approx(16 / 14, rel=1e-13)
    assert found.obuchowski_statistic == pytest.approx(3 / 4 * 16 / 14, rel=1e-13)
    parts = [2 / 4, 0.0, 3 / 5, -1 / 4]
    assert found.durkalski_statistic == pytest.approx(sum(parts) ** 2 / sum(x * x for x in parts), rel=1e-13)
    residuals = [2 - 16 / 15, 0 - 8 / 15, 3 - 20 / 15, -1 - 16 / 15]
    se = math.sqrt(4 / 3 * sum(x * x for x in residuals)) / 15
    assert found.cluster_se_difference == pytest.approx(se, rel=1e-13)
    assert found.ci_z == pytest.approx((4 / 15 - 1.959963984540054 * se, 4 / 15 + 1.959963984540054 * se), rel=1e-12)
    assert found.ci_t == pytest.approx(stats.t.interval(0.95, 3, 4 / 15, se), rel=1e-12)
    assert found.yang_pvalue == pytest.approx(stats.chi2.sf(16 / 14, 1), rel=1e-12)


@given(CLUSTERS)
def test_the_cluster_error_is_statsmodels(clusters: list[tuple[int, ...]]) -> None:
    cells = np.array(clusters)
    values = np.concatenate([np.repeat([0.0, 1.0, -1.0, 0.0], row) for row in cells])
    groups = np.repeat(np.arange(len(cells)), cells.sum(axis=1))
    ours = clustered_mcnemar(clusters)  # type: ignore[arg-type]
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert ours.cluster_se_difference == pytest.approx(float(fit.bse[0]), abs=1e-12)
    same = clustered_se(values, groups)
    assert same.finite_cluster_corrected == pytest.approx(ours.cluster_se_difference, abs=1e-12)


@given(CLUSTERS)
def test_clustered_tests_mirror_and_obuchowski_is_a_shrunk_yang(clusters: list[tuple[int, ...]]) -> None:
    one = clustered_mcnemar(clusters)  # type: ignore[arg-type]
    other = clustered_mcnemar([(a, c, b, d) for a, b, c, d in clusters])
    assert one.difference == -other.difference
    for name in ("yang_pvalue", "obuchowski_pvalue", "durkalski_pvalue", "naive_pvalue"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12)
    assert one.obuchowski_pvalue >= one.yang_pvalue
    assert one.ci_t.low <= one.ci_z.low <= one.difference <= one.ci_z.high <= one.ci_t.high


def test_clusters_of_one_are_no_clusters() -> None:
    singles = [(0, 1, 0, 0)] * 10 + [(0, 0, 1, 0)] * 2 + [(1, 0, 0, 0)] * 38
    found = clustered_mcnemar(singles)
    assert found.yang_statistic == found.durkalski_statistic == found.naive_mcnemar_statistic == 64 / 12


def test_the_three_cluster_errors_in_the_wild_have_their_names() -> None:
    # four clusters of three with 3, 2, 1, 0 right: residual sums 1.5, .5, -.5, -1.5, so 5 between and 3 in all
    found = clustered_se([1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0], np.repeat(["a", "b", "c", "d"], 3))
    assert found.mean == 0.5
    assert found.naive == pytest.approx(math.sqrt(3 / 11 / 12), rel=1e-13)
    assert found.sandwich == pytest.approx(math.sqrt(5) / 12, rel=1e-13)
    assert found.miller == pytest.approx(math.sqrt(3 / 11 / 12 + (5 - 3) / 144), rel=1e-13)
    # .191 lmms-eval, .186 the plain sandwich, .215 inspect_ai
    assert [round(x, 3) for x in (found.miller, found.sandwich, found.finite_cluster_corrected)] == [
        0.191,
        0.186,
        0.215,
    ]


def test_clusters_of_one_leave_the_naive_error() -> None:
    found = clustered_se([True, False, True, True], ["a", "b", "c", "d"])
    assert found.miller == pytest.approx(found.naive, rel=1e-13)
    assert found.finite_cluster_corrected == pytest.approx(found.naive, rel=1e-13)


MATRIX = st.integers(2, 6).flatmap(lambda k: st.lists(st.lists(st.integers(0, 1), min_size=k, max_size=k), min_size=1))


@given(MATRIX)
def test_cochran_is_statsmodels_and_0_where_it_has_none(rows: list[list[int]]) -> None:
    found, x = cochrans_q(rows), np.array(rows)
    assert found.df == x.shape[1] - 1
    if (x == x[:, :1]).all():
        assert (found.statistic, found.pvalue) == (0.0, 1.0)
        return
    theirs = sm_cochrans_q(x)
    assert found.statistic == pytest.approx(theirs.statistic, abs=1e-10)
    assert found.pvalue == pytest.approx(theirs.pvalue, rel=1e-10)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 3))
def test_cochran_with_two_models_is_mcnemar(b: int, c: int, a: int) -> None:
    rows = [[1, 1]] * a + [[1, 0]] * b + [[0, 1]] * c + [[0, 0]]
    assert cochrans_q(rows).statistic == pytest.approx(mcnemar_chi2(b, c).statistic, abs=1e-12)


THEIRS = {
    "holm": "holm",
    "bonferroni": "bonferroni",
    "bh": "fdr_bh",
    "by": "fdr_by",
    "hommel": "hommel",
    "hochberg": "simes-hochberg",
}
P = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def still() -> Iterator[None]:
    """What is there already is no garbage: statsmodels' Holm collects some at each call."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("method", THEIRS)
@given(p=P)
def test_adjusted_p_values_are_statsmodels(method: Any, p: list[float]) -> None:
    found = adjust_pvalues(p, method)
    assert isinstance(found, list)
    assert found == pytest.approx(list(multipletests(p, method=THEIRS[method])[1]), abs=1e-12)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_hommel_is_closed_testing_with_simes(p: list[float]) -> None:
    sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
    simes = {s: min(len(s) * value / (i + 1) for i, value in enumerate(sorted(p[j] for j in s))) for s in sets}
    expected = [max(simes[s] for s in sets if i in s) for i in range(len(p))]
    assert adjust_pvalues(p, "hommel") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("method", THEIRS)
@given(p=P, seed=st.integers(0, 99))
def test_adjusting_keeps_order_and_never_lowers(method: Any, p: list[float], seed: int) -> None:
    found, order = adjust_pvalues(p, method), np.random.default_rng(seed).permutation(len(p))
    assert all(before <= after + 1e-15 <= 1 + 1e-12 for before, after in zip(p, found, strict=True))
    assert adjust_pvalues([p[i] for i in order], method) == pytest.approx([found[i] for i in order], abs=1e-15)


def test_the_papers_claim_does_not_survive_holm() -> None:
    exact = [mcnemar_exact(*cells).pvalue for cells in ((1, 5), (2, 4), (2, 10))]
    assert adjust_pvalues(exact) == [0.4375, 0.6875, 0.11572265625]  # 2, 1 and 3 times
    assert adjust_pvalues(exact, "bh")[2] == 0.11572265625


BAD: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no strata": (stratified_mcnemar, ([],), "strata must be rows of b, c"),
    "three numbers": (stratified_mcnemar, ([(1, 2, 3)],), "strata must be rows of b, c"),
    "ragged": (stratified_mcnemar, ([(1, 2), (3,)],), "rows of one length"),
    "negative": (stratified_mcnemar, ([(1, -2)],), "got -2"),
    "half a pair": (stratified_mcnemar, ([(1, 2.5)],), "got 2.5"),
    "NaN": (stratified_mcnemar, ([(1, math.nan)],), "finite"),
    "a bool": (stratified_mcnemar, ([(1, True)],), "bool"),
    "texts": (stratified_mcnemar, ([("1", "2")],), "must be numbers"),
    "one cluster": (clustered_mcnemar, ([(1, 2, 3, 4)],), "2 clusters or more"),
    "an empty cluster": (clustered_mcnemar, ([(1, 2, 3, 4), (0, 0, 0, 0)],), "none of them empty"),
    "a number": (clustered_mcnemar, (3,), "rows of a, b, c, d"),
    "one score": (clustered_se, ([1], ["a"]), "at least 2"),
    "one name": (clustered_se, ([1, 0], ["a", "a"]), "at least 2 clusters"),
    "labels of other length": (clustered_se, ([1, 0, 1], ["a", "b"]), "3 items, 2 labels"),
    "a label that is NaN": (clustered_se, ([1, 0], ["a", math.nan]), "None or NaN"),
    "a text of labels": (clustered_se, ([1, 0], "ab"), "list of labels"),
    "an infinite score": (clustered_se, ([1, math.inf], ["a", "b"]), "finite"),
    "one model": (cochrans_q, ([[1], [0]],), "at least two columns"),
    "no items": (cochrans_q, (np.zeros((0, 3)),), "a row an item"),
    "a two": (cochrans_q, ([[1, 2]],), "0 and 1 only, got 2"),
    "no p": (adjust_pvalues, ([],), "at least 1"),
    "p above 1": (adjust_pvalues, ([0.5, 1.5],), "got 1.5"),
    "p NaN": (adjust_pvalues, ([0.5, math.nan],), "finite"),
    "p a bool": (adjust_pvalues, ([True, 0.5],), "bool"),
    "a matrix of p": (adjust_pvalues, ([[0.5, 0.1]],), "list of at least 1"),
    "another method": (adjust_pvalues, ([0.5], "fdr"), "'fdr' is unknown; known: holm, bonferroni"),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense_is_refused_by_name(name: str) -> None:
    function, arguments, says = BAD[name]
    with pytest.raises(ValueError, match=says):
        function(*arguments)
