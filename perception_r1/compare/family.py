"""Every paired test between the models of a study, with Holm's adjustment in each family; and the spread over seeds.

    contrasts = compare_models(predictions, alpha=0.05, comparable=[("accuracy", "perception_r1")])

Two sorts of contrast, each for two outcomes: every arm before and after its training, and arm against arm. A seed's
row is McNemar's test over items. It takes the two models as they are and knows nothing of training noise: another seed
is another pair of models. The row over seeds (`seed` is None) is a t test over the seeds' differences: it speaks of the
way of training, on these items. A claim about a reward needs the second; one seed has none.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from scipy import special

from perception_r1.compare.checks import Interval, between
from perception_r1.compare.clusters import clustered_mcnemar
from perception_r1.compare.effect import paired_difference_ci
from perception_r1.compare.mcnemar import mcnemar_exact, mcnemar_midp
from perception_r1.compare.multiplicity import adjust_pvalues
from perception_r1.compare.pools import Marks, Outcome, Pool, pools
from perception_r1.compare.power import MOST_PAIRS, mcnemar_power
from perception_r1.compare.words import confidence, interval, p_is, percent, signed

Kind = Literal["before and after", "arm against arm"]
Test = Literal["McNemar", "t over seeds"]

BASE = "base"  # the model before training
EVERY = "all"  # the stratum that holds all items
EFFECT = 0.05  # the true difference that `power` is about
NAMED = 5  # items in a refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One paired test; what does not apply is None.

    Cells: a both right, b only the first, c only the second, d neither. Of a row over seeds n counts the seeds, b those
    in which the first was better, c those in which the second was, and p_exact and p_midp are sign tests of the two.
    """

    benchmark: str
    condition: str
    outcome: Outcome
    kind: Kind
    first: str
    second: str
    seed: int | None  # None: over all seeds
    test: Test
    alpha: float
    n: int = 0  # pairs with a known outcome
    clusters: int | None = None  # how many groups the items fall into, where groups repeat
    a: int | None = None
    b: int | None = None
    c: int | None = None
    d: int | None = None
    first_rate: float | None = None
    second_rate: float | None = None
    difference: float | None = None  # second less first
    low: float | None = None  # of the 1 - alpha interval: Newcombe; t over clusters where groups repeat, or over seeds
    high: float | None = None
    p_exact: float | None = None
    p_midp: float | None = None
    p: float | None = None  # that decides: mid-p; Obuchowski where groups repeat; t over seeds
    p_adjusted: float | None = None  # Holm, among all rows of the same outcome, kind and test
    power: float | None = None  # of the mid-p test for a true difference of EFFECT, with as many discordant pairs
    items_left_out: int = 0  # pairs with an unknown outcome
    sentence: str = ""

    @property
    def shown(self) -> bool:
        """True if there is a difference after Holm's adjustment."""
        return self.p_adjusted is not None and self.p_adjusted <= self.alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """How often an arm has an outcome, seed by seed; `sd` is None for one seed."""

    arm: str
    benchmark: str
    condition: str
    outcome: Outcome
    stratum: str
    seeds: tuple[int, ...]
    rates: tuple[float, ...]  # in the order of `seeds`
    items: tuple[int, ...]  # that the rates are of
    items_left_out: int  # unknown, over all seeds
    mean: float
    min: float
    max: float
    sd: float | None


def compare_models(
    predictions: Iterable[Mapping[str, Any]],
    alpha: float = 0.05,
    comparable: Collection[tuple[str, str]] | None = None,
) -> list[Contrast]:
    """The rows of all contrasts in a stable order; raises ValueError where two models answered different items.

    comparable: the pairs of arms (first, second) to be tested against each other, the one that matters most first;
    None: all pairs. Arms that were trained on different problems are no such pair. Without predictions of the model
    before training there is no before and after; if there is one run of it, it is that of all seeds.
    """
    alpha = between(alpha, "alpha")
    rows: list[Contrast] = []
    for pool in pools(predictions):
        arms = _arms(pool, comparable or ())
        for kind, first, second in _contrasts(arms, comparable):
            rows += _rows(pool, kind, first, second, alpha)
    return [replace(row, sentence=_sentence(row)) for row in _adjusted(rows)]


def spread(predictions: Iterable[Mapping[str, Any]]) -> list[ArmSummary]:
    """The rates of every arm by benchmark, outcome and stratum, over all items first; base comes first of the arms."""
    found: list[ArmSummary] = []
    for pool in pools(predictions):
        strata = sorted({mark.stratum for marks in pool.runs.values() for mark in marks.values()} - {EVERY})
        named = [(arm, stratum) for arm in _arms(pool, ()) for stratum in (EVERY, *strata)]
        found += [summary for arm, stratum in named if (summary := _summary(pool, arm, stratum))]
    return found


def _arms(pool: Pool, comparable: Collection[tuple[str, str]]) -> list[str]:
    """The models of a pool: base, then the arms in the order in which the pairs name them, then the rest."""
    there = {arm for arm, _ in pool.runs}
    asked = list(dict.fromkeys(arm for pair in _ordered(comparable) for arm in pair))
    if missing := [arm for arm in asked if arm not in there]:
        raise ValueError(f"{missing[0]!r} has no predictions on {pool.benchmark}; there are {', '.join(sorted(there))}")
    rest = sorted(there - {BASE, *asked})
    return [BASE] * (BASE in there) + asked + rest


def _ordered(comparable: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(comparable) if isinstance(comparable, AbstractSet) else list(comparable)


def _contrasts(arms: Sequence[str], comparable: Collection[tuple[str, str]] | None) -> Iterator[tuple[Kind, str, str]]:
    trained = [arm for arm in arms if arm != BASE]
    if BASE in arms:
        yield from (("before and after", BASE, arm) for arm in trained)
    pairs = combinations(trained, 2) if comparable is None else _ordered(comparable)
    yield from (("arm against arm", first, second) for first, second in pairs)


# One contrast


def _rows(pool: Pool, kind: Kind, first: str, second: str, alpha: float) -> list[Contrast]:
    """A row a seed, and one over seeds where there are several."""
    rows = []
    for seed, before, after in _seeds(pool, first, second):
        blank = Contrast(
            benchmark=pool.benchmark,
            condition=pool.condition,
            outcome=pool.outcome,
            kind=kind,
            first=first,
            second=second,
            seed=seed,
            test="McNemar",
            alpha=alpha,
        )
        rows.append(_over_items(blank, before, after))
    told = [row for row in rows if row.difference is not None]
    if len(told) < 2:
        return rows
    return [*rows, replace(_over_seeds(told), items_left_out=sum(row.items_left_out for row in rows))]


def _seeds(pool: Pool, first: str, second: str) -> Iterator[tuple[int, Marks, Marks]]:
    """The runs to be paired, seed by seed; a model that no seed changed stands before all of them."""
    has = {arm: sorted(seed for name, seed in pool.runs if name == arm) for arm in (first, second)}
    shared = has[first][0] if first == BASE and len(has[first]) == 1 else None
    fits = set(has[second]) <= set(has[first]) if first == BASE else has[first] == has[second]
    if shared is None and not fits:
        raise ValueError(
            f"{first} and {second} must have the same seeds on {pool.benchmark}; "
            f"{first} has {_listed(has[first])}; {second} has {_listed(has[second])}"
        )
    for seed in has[second]:
        yield seed, pool.runs[first, seed if shared is None else shared], pool.runs[second, seed]


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _over_items(row: Contrast, first: Marks, second: Marks) -> Contrast:
    """The row with McNemar's test of one pair of models."""
    if differing := sorted(first.keys() ^ second.keys()):
        more = f" and {len(differing) - NAMED:,} more" if len(differing) > NAMED else ""
        raise ValueError(
            f"{row.first} and {row.second}, seed {row.seed}, must have answered the same items of {row.benchmark}; "
            f"in one only: {_listed(differing[:NAMED])}{more}"
        )
    pairs = [(mark.group, mark.right, second[item].right) for item, mark in first.items()]
    known = [(group, bool(x), bool(y)) for group, x, y in pairs if x is not None and y is not None]
    row = replace(row, n=len(known), items_left_out=len(pairs) - len(known))
    return _tested(row, known) if known else row


def _tested(row: Contrast, known: Sequence[tuple[str, bool, bool]]) -> Contrast:
    """The row with the cells of the known pairs, and all that follows from them."""
    a, b, c, d = _cells((x, y) for _, x, y in known)
    n, groups = row.n, {group for group, _, _ in known}
    newcombe = paired_difference_ci(a, c, b, d, row.alpha).newcombe  # b and c change places: second less first
    row = replace(
        row,
        a=a,
        b=b,
        c=c,
        d=d,
        first_rate=(a + b) / n,
        second_rate=(a + c) / n,
        difference=(c - b) / n,
        p_exact=mcnemar_exact(b, c).pvalue,
        p_midp=mcnemar_midp(b, c).pvalue,
    )
    if len(groups) < n:
        return _clustered(row, known, newcombe)
    return replace(row, low=newcombe.low, high=newcombe.high, p=row.p_midp, power=_power(n, b + c, row.alpha))


def _cells(pairs: Iterable[tuple[bool, bool]]) -> tuple[int, int, int, int]:
    counts = Counter(pairs)
    return counts[True, True], counts[True, False], counts[False, True], counts[False, False]


def _clustered(row: Contrast, known: Sequence[tuple[str, bool, bool]], newcombe: Interval) -> Contrast:
    """The row with groups, not items, as the unit of chance; a single group tells nothing of chance."""
    groups: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for group, x, y in known:
        groups[group].append((x, y))
    row = replace(row, clusters=len(groups))
    if len(groups) < 2:
        return row
    cells = [(a, c, b, d) for a, b, c, d in map(_cells, groups.values())]
    found = clustered_mcnemar(cells, row.alpha)
    # no group gains or loses: an interval of no width would claim certainty
    low, high = found.ci_t if found.cluster_se_difference else newcombe
    return replace(row, low=low, high=high, p=found.obuchowski_pvalue)


def _power(n: int, discordant: int, alpha: float) -> float | None:
    """The chance to find a true difference of EFFECT if as large a share of pairs is discordant as here."""
    if n > MOST_PAIRS:
        return None
    differ = max(discordant / n, EFFECT)
    return mcnemar_power(n, (differ - EFFECT) / 2, (differ + EFFECT) / 2, alpha).midp_test


def _over_seeds(rows: Sequence[Contrast]) -> Contrast:
    """The mean of the seeds' differences with its t interval; equal differences give no interval, as they show none."""
    differences = np.array([row.difference for row in rows], dtype=np.float64)
    b, c, mean = int((differences < 0).sum()), int((differences > 0).sum()), float(differences.mean())
    row = replace(
        rows[0],
        seed=None,
        test="t over seeds",
        n=len(rows),
        clusters=None,
        a=None,
        b=b,
        c=c,
        d=None,
        first_rate=float(np.mean([row.first_rate for row in rows])),
        second_rate=float(np.mean([row.second_rate for row in rows])),
        difference=mean,
        low=None,
        high=None,
        p_exact=mcnemar_exact(b, c).pvalue,
        p_midp=mcnemar_midp(b, c).pvalue,
        p=None,
        power=None,
    )
    if np.ptp(differences) < 1e-12:
        return row
    se, df = float(differences.std(ddof=1)) / math.sqrt(len(rows)), len(rows) - 1
    half = float(-special.stdtrit(df, row.alpha / 2)) * se
    p = 2 * float(special.stdtr(df, -abs(mean) / se))
    return replace(row, low=max(-1.0, mean - half), high=min(1.0, mean + half), p=p)


def _adjusted(rows: Sequence[Contrast]) -> list[Contrast]:
    """The rows with Holm's p values; a family is one outcome, one kind of contrast and one test.

    Rows of single seeds and rows over seeds answer different questions: neither pays for the other's number.
    """
    families: dict[tuple[Outcome, Kind, Test], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row.p is not None:
            families[row.outcome, row.kind, row.test].append(index)
    adjusted = list(rows)
    for members in families.values():
        for index, p in zip(members, adjust_pvalues([rows[i].p or 0.0 for i in members]), strict=True):
            adjusted[index] = replace(rows[index], p_adjusted=p)
    return adjusted


# Words


def _sentence(row: Contrast) -> str:
    """What the row says."""
    where = row.benchmark if row.condition == "full" else f"{row.benchmark} ({row.condition})"
    when = f"seed {row.seed}" if row.test == "McNemar" else f"mean of {row.n} seeds"
    head = f"{where}, {when}: {row.outcome}"
    if row.first_rate is None or row.second_rate is None or row.difference is None:
        return f"{head} is known of no item, of {row.second} against {row.first}; {_left_out(row)}."
    first, second = percent(row.first_rate), percent(row.second_rate)
    after = row.kind == "before and after"
    rates = (
        f"{first} before and {second} after training {row.second}"
        if after
        else f"{second} with {row.second} against {first} with {row.first}"
    )
    parts = [f"{head} {rates}, {signed(row.difference)} points", *_chances(row)]
    if row.items_left_out:
        parts.append(_left_out(row))
    return f"{'; '.join(parts)}: {_conclusion(row)}."


def _chances(row: Contrast) -> Iterator[str]:
    """What is known of chance in a row."""
    if row.low is not None and row.high is not None:
        yield f"{confidence(row.alpha)} interval {interval(row.low, row.high)}"
    if row.p is not None and row.p_adjusted is not None:
        yield f"{p_is(row.p)}, after Holm {p_is(row.p_adjusted)}"
    if row.test == "t over seeds":
        better = "up" if row.kind == "before and after" else f"{row.second} ahead"
        yield f"{better} in {row.c} of {row.n} seeds"


def _conclusion(row: Contrast) -> str:
    what = "change" if row.kind == "before and after" else "difference"
    if row.p is None:
        return f"chance cannot be told from a {what} here"
    if not row.shown:
        return f"no {what} is shown" + (" after Holm" if row.p <= row.alpha else "")
    better = (row.difference or 0.0) > 0
    if row.kind == "before and after":
        return "higher after training" if better else "lower after training"
    return f"{row.second} is {'better' if better else 'worse'}"


def _left_out(row: Contrast) -> str:
    return f"{row.items_left_out:,} pair{'s' * (row.items_left_out != 1)} left out, as an outcome is unknown"


# Spread


def _summary(pool: Pool, arm: str, stratum: str) -> ArmSummary | None:
    """An arm's rates on one stratum; None where nothing is known."""
    seeds, rates, items, unknown = [], [], [], 0
    for seed in sorted(seed for name, seed in pool.runs if name == arm):
        marks = [mark.right for mark in pool.runs[arm, seed].values() if stratum in (EVERY, mark.stratum)]
        known = [right for right in marks if right is not None]
        unknown += len(marks) - len(known)
        if known:
            seeds.append(seed)
            rates.append(sum(known) / len(known))
            items.append(len(known))
    if not rates:
        return None
    return ArmSummary(
        arm=arm,
        benchmark=pool.benchmark,
        condition=pool.condition,
        outcome=pool.outcome,
        stratum=stratum,
        seeds=tuple(seeds),
        rates=tuple(rates),
        items=tuple(items),
        items_left_out=unknown,
        mean=float(np.mean(rates)),
        min=min(rates),
        max=max(rates),
        sd=float(np.std(rates, ddof=1)) if len(rates) > 1 else None,
    )
