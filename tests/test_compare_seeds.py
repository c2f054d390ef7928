"""Items and seeds as crossed chances: mean squares by statsmodels' analysis of variance, limits by scipy."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from perception_r1.compare import item_seed_difference


def drawn(items: int, seeds: int, item_sd: float, seed_sd: float, number: int = 0) -> np.ndarray:
    rng = np.random.default_rng(number)
    of_items, of_seeds = rng.normal(0, item_sd, (items, 1)), rng.normal(0, seed_sd, (1, seeds))
    return 0.3 + of_items + of_seeds + rng.normal(0, 1, (items, seeds))


def mean_squares(values: np.ndarray) -> tuple[float, float, float]:
    """Of items, seeds and the rest, by statsmodels."""
    items, seeds = values.shape
    frame = pd.DataFrame(
        {"y": values.ravel(), "item": np.repeat(np.arange(items), seeds), "seed": np.tile(np.arange(seeds), items)}
    )
    table = anova_lm(ols("y ~ C(item) + C(seed)", data=frame).fit())
    squares = table["sum_sq"] / table["df"]
    return float(squares["C(item)"]), float(squares["C(seed)"]), float(squares["Residual"])


def test_the_interval_is_that_of_the_analysis_of_variance() -> None:
    values = drawn(40, 5, 3.0, 0.05)  # the items are most of the chance: the crossed interval is the wider
    of_items, of_seeds, rest = mean_squares(values)
    parts = np.array([of_items, max(of_seeds, rest), rest]) / values.size
    variance = parts[0] + parts[1] - parts[2]
    seen = np.array([of_items, of_seeds, rest]) / values.size
    df = variance**2 / float((seen**2 / np.array([39, 4, 156])).sum())
    found = item_seed_difference(values)
    assert (found.difference, found.se, found.df) == pytest.approx((values.mean(), math.sqrt(variance), df), rel=1e-10)
    low, high = stats.t.interval(0.95, df, values.mean(), math.sqrt(variance))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-10)
    assert found.seed_sd == pytest.approx(values.mean(axis=0).std(ddof=1))


def test_where_seeds_are_most_of_the_chance_it_is_at_least_their_t_interval() -> None:
    values = drawn(400, 3, 0.1, 1.0, 4)
    over_seeds = stats.ttest_1samp(values.mean(axis=0), 0)
    low, high = over_seeds.confidence_interval(0.95)
    found = item_seed_difference(values)
    assert found.low <= low + 1e-12 and high <= found.high + 1e-12
    assert found.pvalue >= over_seeds.pvalue - 1e-12


def test_groups_of_one_item_are_items() -> None:
    values = drawn(30, 3, 1.0, 0.2)
    assert item_seed_difference(values, list(range(30))) == item_seed_difference(values)


def test_copies_of_an_item_in_one_group_add_nothing() -> None:
    values = drawn(30, 3, 3.0, 0.05)
    copied, groups = np.repeat(values, 4, axis=0), np.repeat(np.arange(30), 4).tolist()
    once, grouped = item_seed_difference(values), item_seed_difference(copied, groups)
    assert (grouped.low, grouped.high, grouped.df) == pytest.approx((once.low, once.high, once.df), rel=1e-9)
    assert item_seed_difference(copied).se < once.se


matrices = st.integers(2, 12).flatmap(
    lambda items: st.integers(2, 5).flatmap(
        lambda seeds: st.lists(
            st.lists(st.sampled_from([-1, 0, 1]), min_size=seeds, max_size=seeds), min_size=items, max_size=items
        )
    )
)


@settings(max_examples=200, deadline=None)
@given(values=matrices)
def test_it_holds_the_estimate_and_turns_with_the_sign(values: list[list[int]]) -> None:
    if len({tuple(row) for row in values}) == 1 and len(set(values[0])) == 1:
        with pytest.raises(ValueError, match="all alike"):
            item_seed_difference(values)
        return
    found = item_seed_difference(values)
    turned = item_seed_difference((-np.array(values)).tolist())
    assert found.low <= found.difference <= found.high
    assert 0 < found.pvalue <= 1
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert turned.pvalue == pytest.approx(found.pvalue)
    assert (found.pvalue <= 0.05) == (not found.low <= 0 <= found.high) or found.pvalue == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("values", "groups", "said"),
    [
        pytest.param([[1], [0]], None, "2 of each", id="one-seed"),
        pytest.param([[1, 0]], None, "2 of each", id="one-item"),
        pytest.param([[1, 0], [0]], None, "rows of one length", id="ragged"),
        pytest.param([[1, 1], [1, 1]], None, "all alike", id="alike"),
        pytest.param([[1, 0], [0, 1]], ["g", "g"], "at least 2 groups", id="one-group"),
        pytest.param([[1, 0], [0, 1]], ["g"], "one label an item", id="labels"),
        pytest.param([[1, math.nan], [0, 1]], None, "finite", id="nan"),
    ],
)
def test_nonsense_is_refused(values: list[list[float]], groups: list[str] | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        item_seed_difference(values, groups)
