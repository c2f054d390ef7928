"""All contrasts of a study: cells by hand, tests by scipy and statsmodels, families by statsmodels' Holm."""

import dataclasses
import math
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from perception_r1.compare import (
    Contrast,
    Plan,
    clustered_mcnemar,
    compare_models,
    conditional_odds_ratio,
    item_seed_difference,
    mcnemar_power,
    mcnemar_sample_size,
    paired_difference_ci,
    spread,
)
from perception_r1.records import Prediction

Row = dict[str, Any]
PAIR = [("accuracy", "perception_r1")]


def row(model: str, seed: int, item: int, correct: bool | None, perceived: bool | None = None, **other: Any) -> Row:
    """One row of predictions."""
    said = Prediction(
        model=model,
        seed=seed,
        benchmark="world",
        item=f"i{item}",
        group=f"g{item}",
        stratum="cmp",
        condition="full",
        response="",
        status="answered",
        value=None,
        rule="",
        gold="",
        correct=correct,
        facts=3,
        facts_right=0,
        facts_wrong=0,
        perceived=perceived,
        tokens=1,
    )
    return dataclasses.asdict(said) | other


def arm(model: str, seed: int, right: str, **other: Any) -> Iterator[Row]:
    """A run in which item i is right where the i-th letter is 1, wrong where it is 0, unknown where it is ?."""
    known = {"1": True, "0": False, "?": None}
    yield from (row(model, seed, i, known[x], known[x], **other) for i, x in enumerate(right))


def one(rows: Iterable[Contrast], **wanted: Any) -> Contrast:
    """The only row with these values."""
    (found,) = [r for r in rows if all(getattr(r, name) == value for name, value in wanted.items())]
    return found


BASE_RIGHT = "1111100000000000"
AFTER_RIGHT = "1110011111110000"  # a = 3, b = 2, c = 7, d = 4


def test_a_seeds_row_holds_the_hand_counted_cells_and_the_tests_of_scipy() -> None:
    rows = compare_models([*arm("base", 0, BASE_RIGHT), *arm("accuracy", 0, AFTER_RIGHT)])
    found = one(rows, outcome="all facts right", seed=0)
    assert (found.a, found.b, found.c, found.d, found.n, found.items_left_out) == (3, 2, 7, 4, 16, 0)
    assert (found.first_rate, found.second_rate, found.difference) == (5 / 16, 10 / 16, 5 / 16)
    exact = stats.binomtest(2, 9).pvalue
    assert found.p_exact == pytest.approx(exact, rel=1e-12)
    assert found.p_exact == pytest.approx(mcnemar([[3, 2], [7, 4]], exact=True).pvalue, rel=1e-12)
    assert found.p == found.p_midp == pytest.approx(exact - stats.binom.pmf(2, 9, 0.5), rel=1e-12)
    mirrored = paired_difference_ci(3, 2, 7, 4).newcombe  # first less second
    assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low), rel=1e-12)
    assert found.clusters is None and found.test == "McNemar"


def test_both_outcomes_are_tested_each_from_its_own_column() -> None:
    before = [row("base", 0, i, True, i < 2) for i in range(6)]
    after = [row("accuracy", 0, i, i < 3, True) for i in range(6)]
    rows = compare_models(before + after)
    assert one(rows, outcome="answer right").difference == -0.5
    assert one(rows, outcome="all facts right").difference == pytest.approx(4 / 6)


def test_an_unknown_outcome_leaves_its_pair_out_and_is_counted() -> None:
    rows = compare_models([*arm("base", 0, "1100?1"), *arm("accuracy", 0, "10?1?1")])
    found = one(rows, outcome="answer right")
    assert (found.a, found.b, found.c, found.d, found.n, found.items_left_out) == (2, 1, 1, 0, 4, 2)
    assert "2 pairs left out" in found.sentence


def test_where_nothing_is_known_nothing_is_claimed() -> None:
    found = one(compare_models([*arm("base", 0, "??"), *arm("accuracy", 0, "11")]), outcome="answer right")
    assert (found.n, found.items_left_out, found.p, found.difference, found.p_adjusted) == (0, 2, None, None, None)
    assert "known of no item" in found.sentence


def test_items_without_known_facts_have_no_row_for_facts() -> None:
    rows = compare_models([*arm("base", 0, "10", facts=0), *arm("accuracy", 0, "11", facts=0)])
    assert {r.outcome for r in rows} == {"answer right"}


def test_groups_that_repeat_make_the_test_cluster_robust() -> None:
    groups = [[(1, 0), (1, 0)], [(0, 1), (0, 1)], [(0, 1), (1, 1)], [(0, 0), (0, 1)], [(0, 1), (0, 1)]]
    rows = []
    for g, pairs in enumerate(groups):
        for i, (x, y) in enumerate(pairs):
            rows.append(row("base", 0, 10 * g + i, bool(x), None, group=f"g{g}"))
            rows.append(row("accuracy", 0, 10 * g + i, bool(y), None, group=f"g{g}"))
    found = one(compare_models(rows), outcome="answer right")
    # gains of the groups: -2, 2, 1, 1, 2; Obuchowski (K - 1) / K * 4**2 / 14 = 0.8 * 16 / 14
    assert found.p == pytest.approx(stats.chi2.sf(0.8 * 16 / 14, 1), rel=1e-12)
    expected = clustered_mcnemar([(0, 0, 2, 0), (0, 2, 0, 0), (1, 1, 0, 0), (0, 1, 0, 1), (0, 2, 0, 0)]).ci_t
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.clusters == 5 and found.p_clustered == found.p
    assert found.p_midp is not None and found.p != found.p_midp
    # gains less sizes times the mean of 4/10: -2.8, 1.2, 0.2, 0.2, 1.2; (5/4) * 10.8 / 100 over (8/10 - .16) / 10
    assert found.design_effect == pytest.approx(1.25 * 10.8 / 100 / 0.064)
    assert found.power == pytest.approx(mcnemar_power(round(10 / found.design_effect), 0.375, 0.425).midp_test)
    assert found.needed == math.ceil(mcnemar_sample_size(0.375, 0.425).exact_test * found.design_effect)


def test_a_single_group_tells_nothing_of_chance() -> None:
    rows = [*arm("base", 0, "1000", group="g"), *arm("accuracy", 0, "1111", group="g")]
    found = one(compare_models(rows), outcome="answer right")
    assert (found.clusters, found.p, found.low, found.p_adjusted) == (1, None, None, None)
    assert "chance cannot be told" in found.sentence


def three_seeds() -> Iterator[Row]:
    for seed in range(3):
        yield from arm("base", seed, "1000000000")
        yield from arm("accuracy", seed, "1100000000")
    yield from arm("perception_r1", 0, "1111110000")
    yield from arm("perception_r1", 1, "1111111000")
    yield from arm("perception_r1", 2, "1111111110")


def test_the_row_over_seeds_crosses_items_and_seeds_and_shows_the_t_test_beside() -> None:
    rows = compare_models(three_seeds(), Plan(comparable=PAIR))
    found = one(rows, kind="arm against arm", outcome="all facts right", seed=None)
    over_seeds = stats.ttest_1samp([0.4, 0.5, 0.7], 0)
    assert (found.difference, found.p_seeds) == pytest.approx((1.6 / 3, over_seeds.pvalue), rel=1e-9)
    assert (found.seeds_low, found.seeds_high) == pytest.approx(tuple(over_seeds.confidence_interval(0.95)), rel=1e-9)
    assert found.seed_sd == pytest.approx(np.std([0.4, 0.5, 0.7], ddof=1))
    # by hand: which of the ten items each seed gained
    gains = np.array([[0, 0, 0]] * 2 + [[1, 1, 1]] * 4 + [[0, 1, 1]] + [[0, 0, 1]] * 2 + [[0, 0, 0]])
    crossed = item_seed_difference(gains)
    assert (found.low, found.high, found.p) == pytest.approx((crossed.low, crossed.high, crossed.pvalue))
    assert (found.n, found.b, found.c, found.test) == (3, 0, 3, "item × seed")
    assert found.p_exact == 0.25  # the sign test: 2 / 2**3
    assert "perception_r1 ahead in 3 of 3 seeds" in found.sentence


def test_seeds_that_do_not_differ_leave_the_chance_of_the_items() -> None:
    rows = compare_models(three_seeds(), Plan(comparable=PAIR))
    found = one(rows, second="accuracy", outcome="answer right", seed=None)
    assert (found.difference, found.seed_sd, found.p_seeds) == (pytest.approx(0.1), 0.0, None)
    assert found.low is not None and found.low < 0 < 0.1 < (found.high or 0)  # one of ten items was gained


def test_an_item_counts_over_seeds_where_every_seed_knows_it() -> None:
    known = [*arm("a", 0, "1100"), *arm("b", 0, "1111"), *arm("a", 1, "1100"), *arm("b", 1, "11?1")]
    found = one(compare_models(known), outcome="answer right", seed=None)
    assert (found.first_rate, found.second_rate, found.items_left_out) == (pytest.approx(2 / 3), 1.0, 1)


def test_one_seed_has_no_row_over_seeds() -> None:
    rows = compare_models([r for r in three_seeds() if r["seed"] == 1])
    assert rows and all(r.seed == 1 for r in rows)


THREE_WAYS = (("base", "accuracy"), ("base", "perception_r1"), ("accuracy", "perception_r1"))


def random_study(conditions: tuple[str, ...] = ("full",)) -> list[Row]:
    rng = random.Random(3)
    return [
        row(model, seed, i, rng.random() < rate, rng.random() < rate / 2, condition=condition)
        for condition in conditions
        for model, rate in (("base", 0.3), ("accuracy", 0.5), ("perception_r1", 0.7))
        for seed in range(3)
        for i in range(60)
    ]


def test_holm_is_statsmodels_within_each_declared_family() -> None:
    found = compare_models(random_study(), Plan(contrasts=THREE_WAYS))
    assert len(found) == 2 * (3 * 3 + 3)
    families = {"perception, single seeds": 9, "perception, over seeds": 3}
    families |= {"accuracy, single seeds": 9, "accuracy, over seeds": 3}
    for family, size in families.items():
        members = [r for r in found if r.family == family]
        expected = multipletests([r.p for r in members], method="holm")[1]
        assert len(members) == size
        assert [r.p_adjusted for r in members] == pytest.approx(list(expected), rel=1e-12)


def test_what_is_not_declared_is_exploratory_and_pays_for_nobody() -> None:
    alone = compare_models(random_study(), Plan(contrasts=(("base", "accuracy"),), primary="accuracy"))
    assert {(r.first, r.second, r.outcome): r.standing for r in alone} == {
        **{
            (*pair, outcome): "exploratory"
            for pair in THREE_WAYS[1:]
            for outcome in ("answer right", "all facts right")
        },
        ("base", "accuracy", "answer right"): "primary",
        ("base", "accuracy", "all facts right"): "secondary",
    }
    claimed = [r for r in alone if r.claimed and r.seed is None]
    assert [r.p_adjusted for r in claimed] == [r.p for r in claimed]  # each is a family of its own
    assert all("exploratory" in r.family and "exploratory" in r.sentence for r in alone if not r.claimed)
    assert {r.standing for r in compare_models(random_study())} == {"exploratory"}


def test_only_the_declared_benchmarks_and_the_untouched_picture_are_claimed() -> None:
    rows = [r | {"benchmark": b} for b in ("world", "charts") for r in random_study(("full", "none"))]
    found = compare_models(rows, Plan(contrasts=THREE_WAYS, benchmarks=("world",)))
    assert {(r.benchmark, r.condition) for r in found if r.claimed} == {("world", "full")}
    assert {(r.benchmark, r.condition) for r in found} == {
        (b, c) for b in ("world", "charts") for c in ("full", "none")
    }


def test_a_model_meets_itself_without_the_picture() -> None:
    seeing, blind = arm("a", 0, "111100"), arm("a", 0, "100010", condition="none")
    found = one(compare_models([*seeing, *blind], Plan(contrasts=(("a@none", "a"),))), outcome="answer right")
    assert (found.kind, found.first_condition, found.condition) == ("condition against condition", "none", "full")
    assert (found.a, found.b, found.c, found.d, found.claimed) == (1, 1, 3, 1, True)
    assert "66.7 % with a (full) against 33.3 % with a (none)" in found.sentence


def test_a_row_has_both_intervals_the_odds_and_the_size_that_a_study_takes() -> None:
    found = one(compare_models([*arm("base", 0, BASE_RIGHT), *arm("accuracy", 0, AFTER_RIGHT)]), outcome="answer right")
    mirrored = paired_difference_ci(3, 2, 7, 4)
    assert (found.tango_low, found.tango_high) == pytest.approx((-mirrored.tango.high, -mirrored.tango.low))
    odds = conditional_odds_ratio(7, 2)
    assert (found.odds_ratio, found.odds_low, found.odds_high) == (3.5, odds.exact_low, odds.exact_high)
    # 9 of 16 pairs differ; 5 points more or less of them fall to either side
    assert found.needed == mcnemar_sample_size((0.5625 - 0.05) / 2, (0.5625 + 0.05) / 2).exact_test
    bolder = compare_models([*arm("base", 0, BASE_RIGHT), *arm("accuracy", 0, AFTER_RIGHT)], Plan(effect=0.2))[0]
    assert bolder.effect == 0.2 and (bolder.needed or 0) < found.needed


def test_a_difference_is_claimed_only_after_holm() -> None:
    # mid-p of 1 and 8 discordant pairs is .021; of four such tests in one family Holm makes .086
    before, after = "1" + "0" * 8 + "0" * 20, "0" + "1" * 8 + "0" * 20
    names = ("a", "b", "c", "d")
    rows = compare_models([*arm("base", 0, before), *(r for name in names for r in arm(name, 0, after))])
    found = one(rows, second="a", outcome="answer right", kind="before and after")
    assert found.p == pytest.approx(stats.binomtest(1, 9).pvalue - stats.binom.pmf(1, 9, 0.5))
    assert (found.p or 1) < 0.05 < (found.p_adjusted or 0)
    assert found.sentence.endswith("no change is shown after Holm.")


def test_only_comparable_arms_meet_and_the_first_is_the_first_of_its_pair() -> None:
    rows = [*three_seeds(), *(r for seed in range(3) for r in arm("control", seed, "1111100000"))]
    found = compare_models(rows, Plan(comparable=[("perception_r1", "accuracy")]))
    met = {(r.first, r.second) for r in found}
    assert met == {("base", x) for x in ("accuracy", "perception_r1", "control")} | {("perception_r1", "accuracy")}
    assert one(found, kind="arm against arm", outcome="answer right", seed=0).difference == pytest.approx(-0.4)


def test_without_a_list_all_arms_meet() -> None:
    rows = [*three_seeds(), *(r for seed in range(3) for r in arm("control", seed, "1111100000"))]
    met = [(r.first, r.second) for r in compare_models(rows) if r.kind == "arm against arm" and r.seed == 0]
    expected = [("accuracy", "control"), ("accuracy", "perception_r1"), ("control", "perception_r1")]
    assert met == expected * 2


def test_one_run_of_the_model_before_training_stands_before_every_seed() -> None:
    rows = [r for r in three_seeds() if r["model"] != "base" or r["seed"] == 0]
    assert compare_models(rows) == compare_models(three_seeds())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param(
            [*arm("base", 0, "101"), *arm("x", 0, "1011")], "base and x, seed 0, .* in one only: i3$", id="items"
        ),
        pytest.param([*arm("base", 0, "1"), *arm("base", 1, "1"), *arm("x", 2, "1")], "x has 2", id="seed-of-base"),
        pytest.param([*arm("a", 0, "1"), *arm("b", 0, "1"), *arm("b", 1, "1")], "a has 0; b has 0, 1", id="seeds"),
        pytest.param([*arm("a", 0, "1"), *arm("a", 0, "1")], "item 'i0' comes a second time", id="repeat"),
        pytest.param(
            [*arm("a", 0, "1"), *arm("b", 0, "1"), *arm("a", 1, "11"), *arm("b", 1, "11")],
            "a and b: seeds 0 and 1 must have answered the same items of world; in one only: i1$",
            id="items-of-seeds",
        ),
        pytest.param([*arm("a", 0, "1", group="x"), *arm("b", 0, "1")], "group 'x' in one and of 'g0' in", id="groups"),
    ],
)
def test_what_does_not_pair_is_refused_by_name(rows: list[Row], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compare_models(rows)


def test_an_arm_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'perceptionr1' has no predictions on world; there are accuracy, base, perc"):
        compare_models(three_seeds(), Plan(comparable=[("accuracy", "perceptionr1")]))


def test_a_declared_side_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'accuracy@none' has no predictions on world; there are accuracy@full, base"):
        compare_models(three_seeds(), Plan(contrasts=(("accuracy@none", "accuracy"),)))


def test_a_table_of_columns_gives_what_its_rows_give() -> None:
    rows = random_study(("full", "none"))
    assert compare_models(pa.Table.from_pylist(rows)) == compare_models(rows)
    assert spread(pa.Table.from_pylist(rows)) == spread(rows)


def test_only_the_first_response_to_an_item_counts() -> None:
    rows = [*arm("a", 0, "10"), *arm("b", 0, "11")]
    again = [r | {"sample": 1, "correct": False} for r in rows]
    assert compare_models(rows + again) == compare_models(rows)


def test_the_order_of_the_predictions_does_not_matter() -> None:
    rows = list(three_seeds())
    shuffled = rows[:]
    random.Random(0).shuffle(shuffled)
    assert compare_models(shuffled) == compare_models(rows)
    assert compare_models(shuffled, Plan(comparable=set(PAIR))) == compare_models(rows, Plan(comparable=PAIR))
    assert spread(shuffled) == spread(rows)


def test_benchmarks_and_conditions_are_never_mixed() -> None:
    rows = [
        r
        for benchmark in ("world", "charts")
        for condition in ("full", "noise")
        for r in three_seeds()
        if not r.update(benchmark=benchmark, condition=condition)
    ]
    found = compare_models(rows, Plan(comparable=PAIR))
    assert len({(r.benchmark, r.condition) for r in found}) == 4
    assert all(r.n in (10, 3) for r in found)
    assert (
        "charts (noise), seed 0"
        in one(
            found, benchmark="charts", condition="noise", seed=0, outcome="answer right", kind="arm against arm"
        ).sentence
    )


def test_power_is_that_of_the_mid_p_test_for_five_points() -> None:
    # 100 pairs of which 10 are discordant: p10 = .025, p01 = .075; by simulation of the test itself
    before, after = "1" * 5 + "0" * 95, "0" * 5 + "1" * 5 + "0" * 90
    found = one(compare_models([*arm("base", 0, before), *arm("a", 0, after)]), outcome="answer right")
    rng = np.random.default_rng(0)
    b, c, _ = rng.multinomial(100, (0.025, 0.075, 0.9), size=20_000).T
    k, m = np.minimum(b, c), b + c
    midp = np.where(b == c, 1.0, 2 * stats.binom.cdf(k, m, 0.5) - stats.binom.pmf(k, m, 0.5))
    assert found.power == pytest.approx((midp <= 0.05).mean(), abs=0.012)


def test_an_effect_of_any_digits_has_a_power_where_fewer_pairs_differ() -> None:
    # nothing differs, so all that would differ goes to one side: p10 = 0, p01 = 1 / 30
    plan = Plan(effect=1 / 30)
    found = one(compare_models([*arm("base", 0, "1" * 40), *arm("a", 0, "1" * 40)], plan), outcome="answer right")
    m = np.arange(41)
    midp = np.where(m == 0, 1.0, stats.binom.pmf(0, m, 0.5))
    assert found.power == pytest.approx(float(stats.binom.pmf(m, 40, 1 / 30)[midp <= 0.05].sum()))


def test_spread_is_hand_arithmetic_over_seeds_and_strata() -> None:
    rows = [
        row("base", seed, i, right, None, stratum="cmp" if i < 2 else "diff")
        for seed, rights in ((0, (True, True, False, False)), (1, (True, False, False, None)))
        for i, right in enumerate(rights)
    ]
    found = {r.stratum: r for r in spread(rows) if r.outcome == "answer right"}
    assert list(found) == ["all", "cmp", "diff"]
    every = found["all"]
    assert (every.seeds, every.rates, every.items, every.items_left_out) == ((0, 1), (0.5, 1 / 3), (4, 3), 1)
    assert (every.mean, every.min, every.max) == (pytest.approx(5 / 12), 1 / 3, 0.5)
    assert every.sd == pytest.approx(math.sqrt(2) / 12)  # half the difference of 1/6, times root 2
    assert found["diff"].rates == (0.0, 0.0) and found["diff"].sd == 0.0


def test_one_seed_has_no_spread() -> None:
    assert {r.sd for r in spread(arm("base", 0, "10"))} == {None}


def test_every_row_has_every_column() -> None:
    names = [field.name for field in dataclasses.fields(Contrast)]
    assert all(list(dataclasses.asdict(r)) == names for r in compare_models(three_seeds()))
