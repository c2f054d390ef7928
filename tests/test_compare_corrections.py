"""Judged differences put right: the truth is planted, and the correction must find it again."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from perception_r1.compare import Contrast, JudgeErrors, Plan, compare_models, paired_misclassification_inverse
from perception_r1.compare.corrections import Correction, corrections, judge_errors, of_all_facts, read_labels
from perception_r1.records import Prediction

Row = dict[str, Any]
PLAN = Plan(contrasts=(("accuracy", "perception_r1"),))
CONFUSION = ((95, 2, 3, 0), (4, 50, 46, 0), (6, 10, 84, 0))  # 95 of 100 found; 10 of 200 credited


def rows_of(model: str, perceived: list[bool], facts: int = 1, **other: Any) -> Iterator[Row]:
    blank = Prediction(
        model=model, seed=0, benchmark="photos", item="", group="", stratum="x", condition="full", response="",
        status="answered", value=None, rule="", gold="", correct=True, facts=facts, facts_right=0, facts_wrong=0,
        perceived=None, tokens=1,
    )  # fmt: skip
    for i, right in enumerate(perceived):
        made = dataclasses.replace(blank, item=f"i{i}", group=f"i{i}", perceived=right)
        yield dataclasses.asdict(made) | other


def put_right(rows: list[Row], errors: dict[str, JudgeErrors], labels: Any = None) -> list[Correction]:
    return corrections(rows, compare_models(rows, PLAN), ["photos"], errors, labels)


def test_error_rates_of_the_report_are_the_confusions_where_no_arm_has_its_own() -> None:
    own = {"arm": "perception_r1", "sensitivity": 0.8, "specificity": 0.9, "positives": 50, "negatives": 60}
    found = judge_errors({"confusion": CONFUSION, "arms": [own]}, ["base", "perception_r1"])
    assert found == {"base": JudgeErrors(0.95, 0.95, 100, 200), "perception_r1": JudgeErrors(0.8, 0.9, 50, 60)}


def test_an_arm_without_a_positive_label_has_no_error_rates_of_its_own() -> None:
    blind = {"arm": "base", "sensitivity": 0.0, "specificity": 0.9, "positives": 0, "negatives": 60}
    found = judge_errors({"confusion": CONFUSION, "arms": [blind]}, ["base", "accuracy"])
    assert found["base"] is found["accuracy"] and found["base"].sensitivity == 0.95
    assert judge_errors({"confusion": ((0,) * 4, *CONFUSION[1:]), "arms": [blind]}, ["base"]) == {}


def test_a_judge_that_tells_nothing_of_an_arm_puts_nothing_right_and_ends_no_comparison() -> None:
    rows = [*rows_of("accuracy", [True] * 40), *rows_of("perception_r1", [i < 20 for i in range(40)])]
    assert put_right(rows, {"accuracy": JudgeErrors(0.9, 0.9), "perception_r1": JudgeErrors(0.3, 0.7)}) == []


def test_an_item_is_right_only_if_all_its_facts_are() -> None:
    found = of_all_facts(JudgeErrors(0.9, 0.8, 100, 50), np.array([2, 2]))
    assert (found.sensitivity, found.specificity) == (pytest.approx(0.81), pytest.approx(1 - 0.2 * 0.9))
    # delta method: the variance of s**2 is (2 s)**2 s (1 - s) / 100, and .81 * .19 / n_pos must be that
    assert found.n_pos == round(0.81 * 0.19 / ((2 * 0.9) ** 2 * 0.9 * 0.1 / 100))
    single = dataclasses.astuple(of_all_facts(JudgeErrors(0.9, 0.8, 100, 50), np.array([1])))
    assert single == pytest.approx((0.9, 0.8, 100, 50))


def test_a_judge_kinder_to_one_arm_invents_a_difference_that_its_error_rates_take_out() -> None:
    # of 1,000 items both arms see the same 400; the judge misses a tenth of the first arm's and none of the second's
    truth = [i < 400 for i in range(1000)]
    missed = [right and i % 10 != 0 for i, right in enumerate(truth)]
    rows = [*rows_of("accuracy", missed), *rows_of("perception_r1", truth)]
    errors = {"accuracy": JudgeErrors(0.9, 1.0, 200, 200), "perception_r1": JudgeErrors(1.0, 1.0, 200, 200)}
    (found,) = put_right(rows, errors)
    assert found.raw_difference == pytest.approx(0.04)
    assert found.difference == pytest.approx(0.0, abs=1e-12)
    assert found.low < 0 < found.high
    assert (found.a, found.b, found.c, found.d) == pytest.approx((400, 0, 0, 600), abs=1e-6)
    assert "+4.0 points as judged, 0.0 by the judge's error rates in each arm" in found.sentence


def test_the_corrected_table_is_that_of_the_public_function() -> None:
    first, second = [i % 3 == 0 for i in range(300)], [i % 2 == 0 for i in range(300)]
    errors = {"accuracy": JudgeErrors(0.9, 0.95, 100, 120), "perception_r1": JudgeErrors(0.85, 0.9, 90, 80)}
    (found,) = put_right([*rows_of("accuracy", first), *rows_of("perception_r1", second)], errors)
    # a = 50, b = 50, c = 100, d = 100; the public function takes first less second, so the sign turns
    public = paired_misclassification_inverse((50, 50, 100, 100), errors["accuracy"], errors["perception_r1"])
    assert (found.difference, found.se) == pytest.approx((-public.difference, public.se))
    assert (found.low, found.high) == pytest.approx((-public.high, -public.low))
    assert (found.a, found.b, found.c, found.d) == pytest.approx((public.a, public.b, public.c, public.d))


def test_errors_that_both_arms_share_only_stretch_the_difference() -> None:
    rng, errors = np.random.default_rng(5), JudgeErrors(0.9, 0.9, 400, 400)
    first, second = [i < 100 for i in range(400)], [i < 180 for i in range(400)]
    rows = [*rows_of("accuracy", first), *rows_of("perception_r1", second)]
    (found,) = put_right(rows, {"accuracy": errors, "perception_r1": errors})
    assert found.difference == pytest.approx(0.2 / 0.8)
    # by simulation: items drawn again, and one set of labels for both arms
    c = rng.binomial(400, 80 / 400, 20_000) / 400
    youden = (rng.binomial(400, 0.9, 20_000) + rng.binomial(400, 0.9, 20_000)) / 400 - 1
    assert found.se == pytest.approx((c / youden).std(), rel=0.03)


def test_pairs_that_never_differ_give_no_corrected_interval_of_no_width() -> None:
    rows = [*rows_of("accuracy", [i < 3 for i in range(12)]), *rows_of("perception_r1", [i < 3 for i in range(12)])]
    assert put_right(rows, dict.fromkeys(("accuracy", "perception_r1"), JudgeErrors(0.9, 0.9, 50, 50))) == []


def test_equal_rates_that_were_measured_apart_are_two_chances() -> None:
    first, second = [i < 100 for i in range(400)], [i < 180 for i in range(400)]
    rows = [*rows_of("accuracy", first), *rows_of("perception_r1", second)]
    apart = {arm: JudgeErrors(0.9, 0.9, 20, 20) for arm in ("accuracy", "perception_r1")}
    nearly = apart | {"accuracy": JudgeErrors(0.9, 0.9, 20, 21)}
    (found,), (beside,) = put_right(rows, apart), put_right(rows, nearly)
    assert found.se == pytest.approx(beside.se, rel=0.02)


def three_seeds(rng: np.random.Generator, items: int = 200) -> list[Row]:
    """Every run sees in its own way, as training is luck."""
    rows: list[Row] = []
    for seed, second in enumerate((0.5, 0.6, 0.7)):
        rows += rows_of("accuracy", (rng.random(items) < 0.4).tolist(), seed=seed)
        rows += rows_of("perception_r1", (rng.random(items) < second).tolist(), seed=seed)
    return rows


def over_seeds(rows: list[Row], errors: dict[str, JudgeErrors]) -> tuple[Contrast, Correction]:
    contrasts = compare_models(rows, PLAN)
    (raw,) = (row for row in contrasts if row.seed is None and row.outcome == "all facts right")
    (found,) = (made for made in corrections(rows, contrasts, ["photos"], errors) if made.seed is None)
    return raw, found


def test_over_seeds_a_judge_that_never_errs_leaves_the_raw_test_as_it_is() -> None:
    never = {arm: JudgeErrors(1.0, 1.0, 50, 50) for arm in ("accuracy", "perception_r1")}
    raw, found = over_seeds(three_seeds(np.random.default_rng(1)), never)
    assert (found.difference, found.low, found.high) == pytest.approx((raw.difference, raw.low, raw.high))
    assert (found.raw_low, found.n, found.a) == (raw.low, 3, None)
    assert found.sentence.startswith("photos, mean of 3 seeds, perception_r1 against accuracy: ")


def test_over_seeds_the_mean_is_put_right_and_the_labels_count_once_for_all_seeds() -> None:
    rows = three_seeds(np.random.default_rng(1))
    errors = {"accuracy": JudgeErrors(0.8, 0.95, 100, 100), "perception_r1": JudgeErrors(0.9, 0.9, 100, 100)}
    contrasts = compare_models(rows, PLAN)
    single = [made for made in corrections(rows, contrasts, ["photos"], errors) if made.seed is not None]
    raw, found = over_seeds(rows, errors)
    assert found.difference == pytest.approx(np.mean([made.difference for made in single]))
    known = {arm: JudgeErrors(each.sensitivity, each.specificity) for arm, each in errors.items()}
    se = over_seeds(rows, known)[1].se
    # Rogan and Gladen's variance of the labels, with the arms' rates over all seeds
    of_labels = 0.0
    for rate, made in ((raw.first_rate, errors["accuracy"]), (raw.second_rate, errors["perception_r1"])):
        youden = made.sensitivity + made.specificity - 1
        true = ((rate or 0.0) + made.specificity - 1) / youden
        right, wrong = made.sensitivity * (1 - made.sensitivity), made.specificity * (1 - made.specificity)
        of_labels += (true**2 * right + (1 - true) ** 2 * wrong) / 100 / youden**2
    assert found.se == pytest.approx((se**2 + of_labels) ** 0.5)
    assert se > max(made.se for made in single) / 3**0.5  # the runs' luck is more than the items'


def test_labels_of_a_part_take_the_judges_bias_out() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random((2, 2000)) < np.array([[0.4], [0.4]])
    judged = truth & ~(
        (rng.random((2, 2000)) < 0.2) & np.array([[True], [False]])
    )  # a fifth of the first arm is missed
    rows = [*rows_of("accuracy", judged[0].tolist()), *rows_of("perception_r1", judged[1].tolist())]
    chosen = rng.choice(2000, 400, replace=False)
    labels = {
        ("photos", arm, 0): {f"i{i}": bool(truth[number, i]) for i in chosen}
        for number, arm in enumerate(("accuracy", "perception_r1"))
    }
    (found,) = put_right(rows, {}, labels)
    real = float((truth[1].astype(float) - truth[0]).mean())
    assert found.raw_difference - real > 0.05 and not (found.raw_low or 0) <= real
    assert found.low <= real <= found.high
    assert (found.labelled, found.method) == (400, "people's labels")
    assert "people's labels of 400 of 2,000 items" in found.sentence
    both = put_right(rows, dict.fromkeys(("accuracy", "perception_r1"), JudgeErrors(0.9, 0.9)), labels)
    assert [each.method for each in both] == ["error rates", "people's labels"]


def labels_of(model: str, seed: int, said: str) -> dict[tuple[str, str, int], dict[str, bool]]:
    return {("photos", model, seed): {f"i{i}": label == "1" for i, label in enumerate(said)}}


def test_labels_speak_of_the_untouched_picture_alone() -> None:
    first, second = [i % 2 == 0 for i in range(100)], [i % 3 > 0 for i in range(100)]
    rows = [*rows_of("accuracy", first), *rows_of("perception_r1", second)]
    rows += [*rows_of("accuracy", first, condition="none"), *rows_of("perception_r1", [False] * 100, condition="none")]
    labels = labels_of("accuracy", 0, "10" * 25) | labels_of("perception_r1", 0, "01" * 25)
    found = put_right(rows, {}, labels)
    assert [(each.condition, each.first_condition) for each in found] == [("full", "full")]
    shared = dict.fromkeys(("accuracy", "perception_r1"), JudgeErrors(0.9, 0.9))
    said = [each.sentence.partition(":")[0] for each in put_right(rows, shared)]
    assert said == [
        "photos, seed 0, perception_r1 against accuracy",
        "photos (none), seed 0, perception_r1 against accuracy",
        "photos, seed 0, perception_r1 (full) against perception_r1 (none)",
    ]


def test_labels_of_the_one_run_before_training_serve_every_seed() -> None:
    rows = [*rows_of("base", [i % 3 == 0 for i in range(60)])]
    for seed in (0, 1):
        rows += rows_of("accuracy", [i % 2 == seed for i in range(60)], seed=seed)
    labels = labels_of("base", 0, "1000" * 10)
    labels |= labels_of("accuracy", 0, "1101" * 10) | labels_of("accuracy", 1, "0101" * 10)
    found = corrections(rows, compare_models(rows), ["photos"], {}, labels)
    assert [(each.first, each.seed, each.labelled) for each in found] == [("base", 0, 40), ("base", 1, 40)]


def test_labels_of_a_run_that_is_not_there_are_refused() -> None:
    rows = [*rows_of("accuracy", [True] * 40), *rows_of("perception_r1", [True] * 40)]
    with pytest.raises(ValueError, match=r"of acuracy, seed 0, on photos, .*known: accuracy, seed 0, on photos; perc"):
        put_right(rows, {}, labels_of("acuracy", 0, "10" * 20))


def test_people_who_saw_everything_need_no_judge() -> None:
    rows = [*rows_of("accuracy", [True] * 40), *rows_of("perception_r1", [True] * 40)]
    labels = {
        ("photos", arm, 0): {f"i{i}": i < most for i in range(40)}
        for arm, most in (("accuracy", 12), ("perception_r1", 28))
    }
    (found,) = put_right(rows, {}, labels)
    assert (found.difference, found.weight) == (pytest.approx(0.4), 0.0)


@pytest.mark.parametrize(("count", "gained"), [(29, 9), (40, 40)], ids=["too-few", "all-alike"])
def test_labels_that_would_claim_certainty_put_nothing_right(count: int, gained: int) -> None:
    rows = [*rows_of("accuracy", [True] * 40), *rows_of("perception_r1", [True] * 40)]
    labels = {
        ("photos", "accuracy", 0): {f"i{i}": False for i in range(count)},
        ("photos", "perception_r1", 0): {f"i{i}": i < gained for i in range(count)},
    }
    assert put_right(rows, {}, labels) == []


def test_what_the_truth_tells_is_not_put_right() -> None:
    rows = [*rows_of("accuracy", [True, False]), *rows_of("perception_r1", [True, True])]
    errors = dict.fromkeys(("accuracy", "perception_r1"), JudgeErrors(0.9, 0.9))
    assert corrections(rows, compare_models(rows, PLAN), [], errors) == []


HEAD = {"benchmark": "photos", "model": "a", "seed": "0", "item": "i1", "perceived": "1"}


def test_labels_are_read_by_run_and_item() -> None:
    found = read_labels([HEAD, HEAD | {"item": "i2", "perceived": "False"}, HEAD | {"model": "b"}])
    assert found == {("photos", "a", 0): {"i1": True, "i2": False}, ("photos", "b", 0): {"i1": True}}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        pytest.param([HEAD | {"perceived": "yes"}], "row 1 .*must be 0, 1, true or false, got 'yes'", id="value"),
        pytest.param([HEAD | {"seed": "x"}], "row 1 .*seed must be a whole number, got 'x'", id="seed"),
        pytest.param([HEAD, HEAD], "row 2 .*'i1' of a comes twice", id="twice"),
        pytest.param([{"benchmark": "photos"}], "has no model; columns there: benchmark", id="column"),
    ],
)
def test_labels_that_are_none_are_refused(records: list[dict[str, str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_labels(records)
