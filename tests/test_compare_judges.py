"""Judges and their errors: statsmodels, hand values, published anchors, and what must cancel."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from perception_r1.compare import (
    JudgeErrors,
    judge_agreement,
    mcnemar_sample_size,
    paired_misclassification,
    paired_misclassification_forward,
    paired_misclassification_inverse,
    ppi_paired_difference,
    rogan_gladen,
)

CELL = st.integers(1, 500)
PERFECT = JudgeErrors(1.0, 1.0)
Z = 1.959963984540054


@given(CELL, st.integers(0, 500), st.integers(0, 500), CELL)
def test_kappa_and_its_error_are_statsmodels(tp: int, fp: int, fn: int, tn: int) -> None:
    found, theirs = judge_agreement(tp, fp, fn, tn), cohens_kappa(np.array([[tp, fp], [fn, tn]]))
    assert found.kappa == pytest.approx(theirs.kappa, abs=1e-10)
    assert found.kappa_se == pytest.approx(math.sqrt(max(0.0, theirs.var_kappa)), abs=1e-7)
    assert found.kappa_se**2 == pytest.approx(max(0.0, theirs.var_kappa), abs=1e-12)
    assert found.kappa_high - found.kappa == pytest.approx(Z * found.kappa_se, abs=1e-12)
    assert found.kappa - found.kappa_low == pytest.approx(Z * found.kappa_se, abs=1e-12)


@given(CELL, st.integers(0, 500), st.integers(0, 500), CELL)
def test_mcc_is_the_correlation_of_the_two_columns(tp: int, fp: int, fn: int, tn: int) -> None:
    judged, true = np.repeat([1.0, 1, 0, 0], [tp, fp, fn, tn]), np.repeat([1.0, 0, 1, 0], [tp, fp, fn, tn])
    assert judge_agreement(tp, fp, fn, tn).mcc == pytest.approx(np.corrcoef(judged, true)[0, 1], abs=1e-10)


def test_agreement_is_hand_arithmetic() -> None:
    found = judge_agreement(40, 5, 10, 45)
    assert (found.accuracy, found.sensitivity, found.specificity) == (0.85, 0.8, 0.9)
    assert (found.precision, found.balanced_accuracy) == (40 / 45, pytest.approx(0.85))
    assert found.youden_j == pytest.approx(0.7)
    assert found.kappa == pytest.approx((0.85 - 0.5) / 0.5)  # by chance .45 * .5 + .55 * .5
    yes = (45 + 50) / 200
    assert found.gwet_ac1 == pytest.approx((0.85 - 2 * yes * (1 - yes)) / (1 - 2 * yes * (1 - yes)))


def test_accuracy_hides_what_kappa_shows() -> None:
    found = judge_agreement(190, 8, 1, 1)  # 95.5 % right, but yes to nearly everything
    assert (found.accuracy, round(found.kappa, 2), round(found.gwet_ac1, 2)) == (0.955, 0.17, 0.95)


def test_a_judge_without_error_agrees_in_full() -> None:
    found = judge_agreement(30, 0, 0, 20)
    assert (found.kappa, found.kappa_se, found.mcc, found.gwet_ac1) == (1.0, 0.0, 1.0, 1.0)


def test_a_judge_that_always_says_yes_has_no_correlation() -> None:
    found = judge_agreement(30, 20, 0, 0)
    assert (found.mcc, found.kappa, found.youden_j) == (0.0, 0.0, 0.0)


def test_rogan_gladen_is_hand_arithmetic() -> None:
    found = rogan_gladen(0.41, 1000, 0.9, 200, 0.8, 100)
    theta = (0.41 - 0.2) / 0.7  # 0.3
    variance = (0.41 * 0.59 / 1000 + theta**2 * 0.09 / 200 + (1 - theta) ** 2 * 0.16 / 100) / 0.49
    assert found.estimate == pytest.approx(theta, rel=1e-12)
    assert found.se == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((theta - Z * found.se, theta + Z * found.se), rel=1e-12)


def test_a_perfect_judge_needs_no_correction() -> None:
    found = rogan_gladen(0.3, 100, 1.0, 10, 1.0, 10)
    assert (found.estimate, found.se) == (pytest.approx(0.3), pytest.approx(math.sqrt(0.21 / 100)))


def test_an_estimate_that_cannot_be_is_not_hidden() -> None:
    assert rogan_gladen(0.05, 100, 0.9, 50, 0.9, 50).estimate == pytest.approx(-0.05 / 0.8)


@pytest.mark.parametrize(
    ("accuracy", "pairs"),
    [(1.0, 468.4), (0.99, 533), (0.97, 675), (0.95, 837), (0.90, 1352), (0.80, 3259)],
    ids=str,
)
def test_judge_error_inflates_the_study(accuracy: float, pairs: float) -> None:
    # the published plan is rounded, ours rounded up
    errors = JudgeErrors(accuracy, accuracy)
    seen = paired_misclassification_forward((0.5, 0.10, 0.05, 0.35), errors, errors)
    assert mcnemar_sample_size(seen.b, seen.c).connor == pytest.approx(pairs, abs=1.0)


def test_a_kinder_judge_makes_equal_models_differ() -> None:
    strict, kind = JudgeErrors(0.95, 0.95), JudgeErrors(0.95, 0.85)  # 10 points kinder to what is wrong
    seen = paired_misclassification_forward((0.5, 0.1, 0.1, 0.3), kind, strict)
    assert seen.difference == pytest.approx(0.04)  # 10 points of the 40 % that are wrong


def test_equal_errors_shrink_the_difference_by_youden() -> None:
    errors = JudgeErrors(0.9, 0.8)
    assert paired_misclassification_forward((50, 20, 10, 20), errors, errors).difference == pytest.approx(0.1 * 0.7)


def test_the_forward_table_is_hand_arithmetic() -> None:
    seen = paired_misclassification_forward((0, 100, 0, 0), JudgeErrors(0.9, 0.8), JudgeErrors(0.7, 0.6))
    # only the first is right: it is judged so with .9, the second is judged right with 1 - .6
    assert (seen.a, seen.b, seen.c, seen.d) == pytest.approx((36, 54, 4, 6))


RATES = st.floats(0.6, 1.0)


@given(st.tuples(*[st.integers(0, 200)] * 4), RATES, RATES, RATES, RATES)
def test_inverse_undoes_forward(cells: tuple[int, ...], se1: float, sp1: float, se2: float, sp2: float) -> None:
    assume(sum(cells))
    first, second = JudgeErrors(se1, sp1), JudgeErrors(se2, sp2)
    seen = paired_misclassification_forward(cells, first, second)
    back = paired_misclassification_inverse((seen.a, seen.b, seen.c, seen.d), first, second)
    assert (back.a, back.b, back.c, back.d) == pytest.approx(cells, abs=1e-7)
    assert back.difference == pytest.approx((cells[1] - cells[2]) / sum(cells), abs=1e-9)
    assert back.low <= back.difference <= back.high


def test_without_errors_the_corrected_interval_is_wald() -> None:
    found = paired_misclassification_inverse((30, 12, 4, 4), PERFECT, PERFECT)
    assert (found.a, found.b, found.c, found.d) == (30, 12, 4, 4)
    assert found.se == pytest.approx(math.sqrt((16 / 50 - 0.16**2) / 50), rel=1e-12)


def test_the_corrected_difference_is_that_of_two_rogan_gladens() -> None:
    first, second = JudgeErrors(0.9, 0.8, 200, 100), JudgeErrors(0.95, 0.85, 150, 120)
    found = paired_misclassification_inverse((40, 25, 15, 20), first, second)
    one, other = (rogan_gladen(0.65, 100, 0.9, 200, 0.8, 100), rogan_gladen(0.55, 100, 0.95, 150, 0.85, 120))
    assert found.difference == pytest.approx(one.estimate - other.estimate, rel=1e-12)
    together = (0.40 - 0.65 * 0.55) / 100  # the two judged rates come from the same items
    variance = one.se**2 + other.se**2 - 2 * together / (0.7 * 0.8)
    assert found.se == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_the_corrected_interval_covers_the_truth() -> None:
    rng, truth = np.random.default_rng(7), np.array([0.45, 0.15, 0.1, 0.3])
    arms = (JudgeErrors(0.9, 0.92), JudgeErrors(0.93, 0.85))
    seen = paired_misclassification_forward(truth, *arms)
    hits = 0
    for _ in range(1000):
        cells = rng.multinomial(600, [seen.a, seen.b, seen.c, seen.d])
        known = [
            JudgeErrors(rng.binomial(250, e.sensitivity) / 250, rng.binomial(250, e.specificity) / 250, 250, 250)
            for e in arms
        ]
        found = paired_misclassification_inverse(cells, *known)
        hits += found.low <= 0.05 <= found.high
    assert 930 <= hits <= 970


def test_one_entry_goes_both_ways() -> None:
    first, second = JudgeErrors(0.9, 0.8), JudgeErrors(0.7, 0.9)
    cells = (10, 20, 30, 40)
    forward = paired_misclassification(cells, first, second, "forward")
    assert forward == paired_misclassification_forward(cells, first, second)
    inverse = paired_misclassification(cells, first, second, "inverse")
    assert inverse == paired_misclassification_inverse(cells, first, second)


def test_ppi_is_hand_arithmetic() -> None:
    found = ppi_paired_difference([1, 0, 0, 1, -1, 1], [1, 0, 1, 0], [1, 0, 0, 0])
    # mean of the judge 1/3; gold - judge: 0, 0, -1, 0
    assert found.estimate == pytest.approx(2 / 6 - 1 / 4)
    unlabelled, errors = np.var([1, 0, 0, 1, -1, 1], ddof=1), 0.25
    assert found.se == pytest.approx(math.sqrt(unlabelled / 6 + errors / 4))
    everything = np.var([1, 0, 0, 1, -1, 1, 1, 0, 1, 0], ddof=1)
    weight = float(np.cov([1, 0, 1, 0], [1, 0, 0, 0])[0, 1] / ((1 + 4 / 6) * everything))
    assert found.lambda_tuned == pytest.approx(weight)
    assert found.tuned_estimate == pytest.approx(weight * 2 / 6 + 0.25 - weight * 0.5)
    tuned_errors = np.var(np.array([1, 0, 0, 0]) - weight * np.array([1, 0, 1, 0]), ddof=1)
    assert found.tuned_se == pytest.approx(math.sqrt(weight**2 * unlabelled / 6 + tuned_errors / 4))


@pytest.mark.parametrize(
    "judged", [[1, 1, 1, 1], [-1, 0, 0, 1]], ids=["a-judge-that-never-varies", "one-that-is-contrary"]
)
def test_a_useless_judge_leaves_the_labels_own_mean(judged: list[int]) -> None:
    gold = [1, 0, 0, -1]
    found = ppi_paired_difference([1, 1, 1] if judged[0] == 1 else [1, -1, 0], judged, gold)
    assert (found.lambda_tuned, found.tuned_estimate) == (0.0, 0.0)
    assert found.tuned_se == pytest.approx(stats.sem(gold))


def test_the_ppi_interval_covers_the_truth_and_tuning_shortens_it() -> None:
    rng, hits, shorter = np.random.default_rng(11), 0, 0
    for _ in range(1000):
        gold = rng.choice([-1, 0, 1], size=1200, p=[0.1, 0.7, 0.2])
        judged = np.where(rng.random(1200) < 0.8, gold, rng.choice([-1, 0, 1], size=1200))
        found = ppi_paired_difference(judged[200:], judged[:200], gold[:200])
        hits += found.low <= 0.1 <= found.high
        shorter += found.tuned_se <= found.se * 1.001
    assert 930 <= hits <= 970
    assert shorter > 990


BAD: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no positives": (judge_agreement, (0, 3, 0, 5), "without true positives"),
    "no negatives": (judge_agreement, (3, 0, 5, 0), "without true negatives"),
    "never yes": (judge_agreement, (0, 0, 5, 5), "never says yes"),
    "a float": (judge_agreement, (1.0, 2, 3, 4), "tp must"),
    "a judge by chance": (rogan_gladen, (0.5, 10, 0.5, 10, 0.5, 10), "tells nothing"),
    "a contrary judge": (rogan_gladen, (0.5, 10, 0.3, 10, 0.4, 10), "must exceed 1, got 0.3"),
    "a rate above 1": (rogan_gladen, (1.5, 10, 0.9, 10, 0.9, 10), "p_obs must"),
    "no labels": (rogan_gladen, (0.5, 10, 0.9, 0, 0.9, 10), "n_pos must"),
    "NaN": (rogan_gladen, (0.5, 10, math.nan, 10, 0.9, 10), "sensitivity must be finite"),
    "three cells": (paired_misclassification_forward, ((1, 2, 3), PERFECT, PERFECT), "at least 4"),
    "five cells": (paired_misclassification_forward, ((1, 2, 3, 4, 5), PERFECT, PERFECT), "cells must"),
    "a negative cell": (paired_misclassification_inverse, ((1, 2, 3, -4), PERFECT, PERFECT), "none negative"),
    "no items": (paired_misclassification_inverse, ((0, 0, 0, 0), PERFECT, PERFECT), "not all 0"),
    "a blind judge": (paired_misclassification_inverse, ((1, 2, 3, 4), JudgeErrors(0.5, 0.5), PERFECT), "nothing"),
    "no error rates": (paired_misclassification_forward, ((1, 2, 3, 4), PERFECT, 0.9), "second must be JudgeErrors"),
    "a pair of rates": (paired_misclassification_inverse, ((1, 2, 3, 4), (0.9, 0.9), PERFECT), "first must be Judge"),
    "sideways": (paired_misclassification, ((1, 2, 3, 4), PERFECT, PERFECT, "back"), "known: forward, inverse"),
    "errors above 1": (JudgeErrors, (1.1, 0.9), "sensitivity must"),
    "no labels in an arm": (JudgeErrors, (0.9, 0.9, 0, 5), "n_pos must"),
    "one label": (ppi_paired_difference, ([1, 0], [1], [1]), "at least 2"),
    "other items": (ppi_paired_difference, ([1, 0], [1, 0, 1], [1, 0]), "3 judged, 2 gold"),
    "a bool": (ppi_paired_difference, ([True, 0], [1, 0], [1, 0]), "bool"),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense_is_refused_by_name(name: str) -> None:
    function, arguments, says = BAD[name]
    with pytest.raises(ValueError, match=says):
        function(*arguments)
