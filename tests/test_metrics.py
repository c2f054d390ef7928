"""Scores as the benchmarks define them: by hand on a few rows, and never higher because something is missing."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from perception_r1.benchmarks import (
    dynamath,
    emma,
    hallusionbench,
    mathverse,
    mathvista,
    mmmu,
    mmstar,
    visfactor,
    wemath,
)
from perception_r1.benchmarks.fixtures import laid_out
from perception_r1.compare import clustered_se, proportion_ci
from perception_r1.evaluate.metrics import Metric, accuracy, bootstrapped, by_stratum, counts


def row(
    item: str, correct: bool | None, group: str = "", stratum: str = "", *labels: str, **rest: Any
) -> dict[str, Any]:
    found = {"status": "answered", "value": "yes", **rest}
    return {
        "item": item,
        "group": group or item,
        "stratum": stratum,
        "labels": list(labels),
        "correct": correct,
        **found,
    }


def named(metrics: Iterable[Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


def values(metrics: Iterable[Metric]) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in metrics}


def test_a_share_of_independent_items_has_wilsons_interval() -> None:
    found = accuracy("accuracy", [row(str(n), n < 30) for n in range(100)])
    reference = proportion_ci(30, 100).wilson
    assert (found.value, found.n, found.interval) == (0.3, 100, "Wilson")
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_items_of_one_group_are_not_independent() -> None:
    chance = random.Random(0)
    rows = [
        row(f"{g}-{n}", right, group=str(g)) for g in range(40) for right in [chance.random() < 0.5] for n in range(5)
    ]
    found = accuracy("accuracy", rows)
    reference = clustered_se([r["correct"] for r in rows], [r["group"] for r in rows])
    assert found.interval == "t over groups"
    assert (found.high or 0) - (found.value or 0) == pytest.approx(
        2.0227 * reference.finite_cluster_corrected, rel=1e-3
    )


def test_what_is_not_known_is_left_out_and_counted() -> None:
    rows = [row("a", True), row("b", False), row("c", None, status="judge_failed"), row("d", False, status="abstained")]
    assert accuracy("accuracy", rows).value == pytest.approx(1 / 3)
    assert values(counts(rows)) == {"items": 4, "abstained": 1, "truncated": 0, "failed": 1, "not graded": 1}


def test_no_known_row_is_no_score() -> None:
    assert by_stratum([row("a", None)])[0] == Metric(name="accuracy", value=None)


def problem(name: str, right: str) -> list[dict[str, Any]]:
    """A We-Math problem by its rows' outcomes, the whole problem last: "110" is two steps right and the whole wrong."""
    keys = wemath.KEYS[f"{len(right) - 1}steps"]
    return [row(f"{name}-{key}", one == "1", name, key, "concept=Angles") for key, one in zip(keys, right, strict=True)]


def test_wemaths_four_dimensions_by_hand() -> None:
    outcomes = {"a": "111", "b": "101", "c": "001", "d": "110", "e": "010", "f": "1111", "g": "0001"}
    rows = [line for name, right in outcomes.items() for line in problem(name, right)]
    found = values(wemath.metrics(rows))
    strict = {kind: found[f"{kind}, strict"] for kind in ("CM", "RM", "IG", "IK")}
    loose = {kind: found[f"{kind}, loose"] for kind in ("CM", "RM", "IG", "IK")}
    assert strict == pytest.approx({"CM": 2 / 7, "RM": 3 / 7, "IG": 1 / 7, "IK": 1 / 7})
    assert loose == pytest.approx({"CM": 3 / 7, "RM": 2 / 7, "IG": 1 / 7, "IK": 1 / 7})
    assert found["score, strict"] == pytest.approx(2.5 / 7)
    assert found["score, loose"] == pytest.approx(3.5 / 7)
    assert found["RM rate, strict"] == pytest.approx(3 / 5)
    assert (found["S1"], found["S2"], found["S3"]) == pytest.approx((9 / 16, 3 / 5, 2 / 2))


def test_wemath_of_all_wrong_rows_is_zero_and_no_crash() -> None:
    found = values(wemath.metrics([line for n in range(5) for line in problem(str(n), "000")]))
    assert (found["score, strict"], found["RM rate, strict"]) == (0.0, None)


@pytest.mark.parametrize("missing", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("gone", ["dropped", "unknown"])
def test_wemaths_score_never_rises_when_rows_are_missing(missing: float, gone: str) -> None:
    chance = random.Random(1)
    whole = [
        line for n in range(200) for line in problem(str(n), "".join(chance.choice("01") for _ in range(3 + n % 2)))
    ]
    if gone == "dropped":
        fewer = [line for line in whole if chance.random() > missing]
    else:
        fewer = [line if chance.random() > missing else {**line, "correct": None} for line in whole]
    before, after = values(wemath.metrics(whole, whole=True)), values(wemath.metrics(fewer, whole=True))
    for name in ("score, strict", "score, loose", "CM, strict"):
        assert (after[name] or 0) <= (before[name] or 0)
    assert (after["incomplete problems"] or 0) > (before["incomplete problems"] or 0)


def test_a_wemath_problem_with_a_row_too_many_is_not_whole() -> None:
    rows = [*problem("a", "111"), row("a-2steps_1-again", True, "a", "2steps_1", "concept=Angles")]
    assert values(wemath.metrics(rows))["score, strict"] == 0.0


def seed_question(name: str, right: str) -> list[dict[str, Any]]:
    return [row(f"{name}-{n}", one == "1", name, "algebra", f"variant={n}") for n, one in enumerate(right, 1)]


def test_dynamath_average_worst_case_and_robustness() -> None:
    rows = seed_question("1", "1" * 10) + seed_question("2", "1" * 9 + "0") + seed_question("3", "0" * 10)
    found = values(dynamath.metrics(rows))
    assert found["accuracy"] == pytest.approx(19 / 30)
    assert found["worst case"] == pytest.approx(1 / 3)
    assert found["robustness"] == pytest.approx(10 / 19)


def test_a_missing_variant_never_makes_a_seed_question_robust() -> None:
    rows = seed_question("1", "1" * 9) + seed_question("2", "0" * 10)
    found = values(dynamath.metrics(rows))
    assert (found["worst case"], found["incomplete seed questions"]) == (0.0, 1)
    whole = values(dynamath.metrics(seed_question("1", "1" * 10), whole=True))
    assert (whole["worst case"], whole["incomplete seed questions"]) == (pytest.approx(1 / 501), 500)


@pytest.mark.parametrize("gone", ["dropped", "unknown"])
def test_dynamaths_robustness_never_rises_when_variants_are_missing(gone: str) -> None:
    robust, brittle = seed_question("1", "1" * 10), seed_question("2", "1" * 9 + "0")
    for n in range(10):
        left = [line for place, line in enumerate(brittle) if place != n]
        unknown = [line if place != n else {**line, "correct": None} for place, line in enumerate(brittle)]
        found = values(dynamath.metrics(robust + (left if gone == "dropped" else unknown)))
        assert (found["robustness"] or 0) <= 10 / 19
    assert values(dynamath.metrics(robust, whole=True))["robustness"] == pytest.approx(10 / 5010)


def test_mathverse_is_the_mean_of_five_versions_and_says_what_the_missing_text_costs() -> None:
    right = {"Text Dominant": "1110", "Text Lite": "1100", "Vision Intensive": "1100", "Vision Dominant": "1000"}
    right |= {"Vision Only": "1000", "Text Only": "1111"}
    rows = [
        row(f"{v}-{n}", one == "1", str(n), v, "subject=Plane")
        for v, ones in right.items()
        for n, one in enumerate(ones)
    ]
    found = named(mathverse.metrics(rows))
    assert found["accuracy"].value == pytest.approx(9 / 20) and found["accuracy"].interval == "t over groups"
    assert found["Text Only"].value == 1.0
    assert found["vision drop"].value == pytest.approx(2 / 4)
    assert found["vision drop"].interval == "bootstrap over groups"


def test_visfactor_counts_items_and_averages_subtests() -> None:
    rows = [row(f"c{n}", True, "CF1-0", "CF1") for n in range(4)] + [row("c4", False, "CF1-0", "CF1")]
    rows += [row("d", True, "CF1-1", "CF1"), row("e", True, "MA1-0", "MA1")]
    found = values(visfactor.metrics(rows))
    assert (found["CF1"], found["MA1"]) == (0.5, 1.0)
    assert found["accuracy"] == 0.75
    assert found["rows"] == pytest.approx(6 / 7) and found["items"] == pytest.approx(2 / 3)
    assert values(visfactor.metrics(rows, whole=True))["accuracy"] == pytest.approx(1.5 / 20)


def test_always_true_is_almost_nothing_on_visfactor() -> None:
    rows = [row(f"{i}-{n}", (i + n) % 2 == 0, f"S1-{i}", "S1") for i in range(50) for n in range(4)]
    assert values(visfactor.metrics(rows))["accuracy"] == 0.0


def test_hallusionbench_counts_answers_figures_and_questions() -> None:
    def asked(figure: int, question: int, right: bool) -> dict[str, Any]:
        return row(f"{figure}{question}", right, "s", "VD", f"figure={figure}", f"question={question}")

    rows = [asked(0, 0, True), asked(0, 1, True), asked(1, 0, True), asked(1, 1, False)]
    found = values(hallusionbench.metrics(rows))
    assert (found["accuracy"], found["figures"], found["questions"]) == (0.75, 0.5, 0.5)
    assert found["said yes"] == 1.0


def test_what_hallusionbench_asks_without_a_figure_is_of_no_figure(tmp_path: Path) -> None:
    items = list(hallusionbench.items(0, 0, laid_out(hallusionbench.DATA, tmp_path)))
    assert {item.imageless for item in items} == {True, False}
    rows = [row(one.problem.id, not one.imageless, one.problem.group, "VS", *one.labels) for one in items]
    found = named(hallusionbench.metrics(rows))
    assert found["figures"].value == 1.0 and (found["accuracy"].value or 0) < 1
    figures = {label for one in items if not one.imageless for label in one.labels if label.startswith("figure=")}
    assert found["figures"].n == len(figures)


def test_mmstar_weighs_abilities_alike() -> None:
    rows = [row(str(n), True, "", "math", "ability=a") for n in range(3)] + [row("9", False, "", "math", "ability=b")]
    found = values(mmstar.metrics(rows))
    assert (found["accuracy"], found["mean over abilities"]) == (0.75, 0.5)


def test_emmas_coding_rows_count_in_each_of_their_categories() -> None:
    rows = [
        row("1", True, "", "Coding", "category=a", "category=b", "type=MC"),
        row("2", False, "", "Math", "category=a"),
    ]
    found = values(emma.metrics(rows))
    assert (found["a"], found["b"], found["Coding"], found["accuracy"]) == (0.5, 1.0, 1.0, 0.5)


def test_mmmu_has_disciplines_and_mathvista_a_score_without_what_rl_trains_on() -> None:
    rows = [row("1", True, "", "Math", "discipline=Science"), row("2", False, "", "Art", "discipline=Art and Design")]
    assert values(mmmu.metrics(rows))["Science"] == 1.0
    rows = [row("1", True, "", "Geometry3K", "task=t"), row("2", False, "", "PlotQA", "task=t")]
    assert values(mathvista.metrics(rows))["without Geometry3K"] == 0.0


def test_a_bootstrap_interval_covers_its_value_and_is_the_same_each_time() -> None:
    groups = [float(n % 3 == 0) for n in range(60)]
    first, again = (bootstrapped("x", groups, lambda some: sum(some) / len(some)) for _ in range(2))
    assert first == again
    assert (first.low or 0) < (first.value or 0) < (first.high or 0)
