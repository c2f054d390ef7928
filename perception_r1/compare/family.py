"""Every paired test of a study, with Holm's adjustment in each family; and the spread over seeds.

    contrasts = compare_models(predictions, Plan(contrasts=(("base", "accuracy"), ("accuracy", "perception_r1"))))

A seed's row is McNemar's test over items. It takes the two models as they are and knows nothing of training noise:
another seed is another pair of models. The row over seeds (`seed` is None) has items and seeds as two crossed chances:
it speaks of the way of training. A claim about a reward needs the second; one seed has none.

A family is one endpoint and one sort of row. The tests that the plan declares are the families that claims are made
of; every other test is exploratory, and adjusted among its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from perception_r1.compare.checks import between
from perception_r1.compare.contrast import (
    BASE,
    ENDPOINTS,
    EVERY,
    UNTOUCHED,
    ArmSummary,
    Contrast,
    Endpoint,
    Kind,
    Plan,
    Standing,
    Test,
)
from perception_r1.compare.multiplicity import adjust_pvalues
from perception_r1.compare.pools import Pool, pools
from perception_r1.compare.sentences import sentence
from perception_r1.compare.sides import Meeting, arms_of, conditions_of, meetings, seeds_of
from perception_r1.compare.tested import over_items, over_seeds, paired

__all__ = [
    "BASE",
    "EVERY",
    "UNTOUCHED",
    "ArmSummary",
    "Contrast",
    "Endpoint",
    "Kind",
    "Plan",
    "Standing",
    "Test",
    "compare_models",
    "spread",
]

Predictions: TypeAlias = pa.Table | Iterable[Mapping[str, Any]]


def compare_models(predictions: Predictions, plan: Plan | None = None) -> list[Contrast]:
    """The rows of all contrasts in a stable order; raises ValueError where two models answered different items.

    Without predictions of the model before training there is no before and after; if there is one run of it, it is
    that of all seeds.
    """
    plan = plan or Plan()
    between(plan.alpha, "alpha"), between(plan.effect, "effect"), between(plan.power, "power")
    rows = [
        row for pool in pools(predictions) for meeting in meetings(pool, plan) for row in _rows(pool, meeting, plan)
    ]
    return [replace(row, sentence=sentence(row)) for row in _adjusted(rows)]


def _rows(pool: Pool, meeting: Meeting, plan: Plan) -> list[Contrast]:
    """A row a seed, and one over seeds where there are several."""
    blank = Contrast(
        family=_family(pool, meeting, "McNemar"),
        standing=meeting.standing,
        benchmark=pool.benchmark,
        condition=meeting.second.condition,
        outcome=pool.outcome,
        kind=meeting.kind,
        first=meeting.first.arm,
        second=meeting.second.arm,
        first_condition=meeting.first.condition,
        seed=None,
        test="McNemar",
        alpha=plan.alpha,
    )
    rows, seeds = [], []
    for seed, first, second in seeds_of(pool, meeting):
        row = replace(blank, seed=seed)
        seeds.append(paired(pool, row, first, second))
        rows.append(over_items(row, seeds[-1], plan))
    over = over_seeds(rows, seeds, pool)
    return [*rows, replace(over, family=_family(pool, meeting, over.test))] if over else rows


def _family(pool: Pool, meeting: Meeting, test: Test) -> str:
    level = "over seeds" if test == "item × seed" else "single seeds"
    label = ", exploratory" if meeting.standing == "exploratory" else ""
    return f"{ENDPOINTS[pool.outcome]}, {level}{label}"


def _adjusted(rows: Sequence[Contrast]) -> list[Contrast]:
    """The rows with Holm's p values.

    Rows of single seeds and rows over seeds answer different questions: neither pays for the other's number.
    """
    families: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row.p is not None:
            families[row.family].append(index)
    adjusted = list(rows)
    for members in families.values():
        for index, p in zip(members, adjust_pvalues([rows[i].p or 0.0 for i in members]), strict=True):
            adjusted[index] = replace(rows[index], p_adjusted=p)
    return adjusted


def spread(predictions: Predictions) -> list[ArmSummary]:
    """The rates of every arm by benchmark, outcome, condition and stratum: all items first, base first of arms."""
    return [summary for pool in pools(predictions) for summary in _summaries(pool)]


def _summaries(pool: Pool) -> Iterator[ArmSummary]:
    for condition in conditions_of(pool):
        codes = [marks.stratum for run, marks in pool.runs.items() if run.condition == condition]
        strata = [name for name in (pool.strata[code] for code in np.unique(np.concatenate(codes))) if name != EVERY]
        for arm in arms_of(pool, Plan()):
            for stratum in (EVERY, *strata):
                if summary := _summary(pool, arm, condition, stratum):
                    yield summary


def _summary(pool: Pool, arm: str, condition: str, stratum: str) -> ArmSummary | None:
    """An arm's rates on one stratum; None where nothing is known."""
    seeds, rates, items, unknown = [], [], [], 0
    for run, marks in sorted(pool.runs.items()):
        if (run.arm, run.condition) != (arm, condition):
            continue
        kept = marks.right if stratum == EVERY else marks.right[marks.stratum == pool.strata.index(stratum)]
        known = kept[kept >= 0]
        unknown += len(kept) - len(known)
        if len(known):
            seeds.append(run.seed)
            rates.append(float(known.mean()))
            items.append(len(known))
    if not rates:
        return None
    return ArmSummary(
        arm=arm,
        benchmark=pool.benchmark,
        condition=condition,
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
