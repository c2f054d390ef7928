"""Which runs of a pool meet: the declared contrasts, and all others that make sense."""

from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from perception_r1.compare.contrast import BASE, ENDPOINTS, UNTOUCHED, Kind, Plan, Standing
from perception_r1.compare.pools import Marks, Pool, Run


class Side(NamedTuple):
    """A model under a condition."""

    arm: str
    condition: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two sides, and what was said of them beforehand."""

    kind: Kind
    first: Side
    second: Side
    standing: Standing


def arms_of(pool: Pool, plan: Plan) -> list[str]:
    """The models of a pool: base, then the arms in the order in which the plan names them, then the rest."""
    there = {run.arm for run in pool.runs}
    named = [side.partition("@")[0] for pair in plan.contrasts for side in pair]
    named += [arm for pair in _ordered(plan.comparable or ()) for arm in pair]
    asked = list(dict.fromkeys(arm for arm in named if arm != BASE))
    if missing := [arm for arm in asked if arm not in there]:
        raise ValueError(f"{missing[0]!r} has no predictions on {pool.benchmark}; there are {', '.join(sorted(there))}")
    return [BASE] * (BASE in there) + asked + sorted(there - {BASE, *asked})


def conditions_of(pool: Pool) -> list[str]:
    """The conditions of a pool, the untouched picture first."""
    return sorted({run.condition for run in pool.runs}, key=lambda name: (name != UNTOUCHED, name))


def meetings(pool: Pool, plan: Plan) -> list[Meeting]:
    """Every contrast of a pool, those that were declared in the plan's direction; each pair of sides once."""
    claimed = not plan.benchmarks or pool.benchmark in plan.benchmarks
    declared = [_declared(pool, pair) for pair in plan.contrasts] if claimed else []
    standing: Standing = "primary" if ENDPOINTS[pool.outcome] == plan.primary else "secondary"
    turned = {frozenset(pair): pair for pair in declared}
    every = dict.fromkeys(turned.get(frozenset(pair), pair) for pair in (*_possible(pool, plan), *declared))
    made = [Meeting(_kind(*p), *p, standing if p in declared else "exploratory") for p in every]
    return sorted(made, key=lambda meeting: meeting.kind != "before and after")


def _declared(pool: Pool, pair: tuple[str, str]) -> tuple[Side, Side]:
    """The sides of a declared pair; raises ValueError where one has no predictions."""
    there = {Side(run.arm, run.condition) for run in pool.runs}
    sides = []
    for name in pair:
        arm, _, condition = name.partition("@")
        side = Side(arm, condition or conditions_of(pool)[0])
        if side not in there:
            known = ", ".join(sorted(f"{arm}@{condition}" for arm, condition in there))
            raise ValueError(f"{name!r} has no predictions on {pool.benchmark}; there are {known}")
        sides.append(side)
    return sides[0], sides[1]


def _possible(pool: Pool, plan: Plan) -> Iterator[tuple[Side, Side]]:
    """Each condition's models before and after and against each other, and each model against itself untouched."""
    there = {Side(run.arm, run.condition) for run in pool.runs}
    arms, conditions = arms_of(pool, plan), conditions_of(pool)
    trained = [arm for arm in arms if arm != BASE]
    pairs = [(BASE, arm) for arm in trained]
    pairs += combinations(trained, 2) if plan.comparable is None else _ordered(plan.comparable)
    found = [(Side(first, name), Side(second, name)) for name in conditions for first, second in pairs]
    found += [(Side(arm, other), Side(arm, conditions[0])) for arm in arms for other in conditions[1:]]
    yield from (pair for pair in found if there.issuperset(pair))


def _ordered(comparable: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(comparable) if isinstance(comparable, AbstractSet) else list(comparable)


def _kind(first: Side, second: Side) -> Kind:
    if first.condition != second.condition:
        return "condition against condition"
    return "before and after" if BASE in (first.arm, second.arm) else "arm against arm"


def seeds_of(pool: Pool, meeting: Meeting) -> Iterator[tuple[int, Marks, Marks]]:
    """The runs to be paired, seed by seed; a model that no seed changed stands before all of them."""
    first, second = meeting.first, meeting.second
    has = {side: sorted(run.seed for run in pool.runs if run[:2] == side) for side in (first, second)}
    shared = has[first][0] if first.arm == BASE and len(has[first]) == 1 else None
    fits = set(has[second]) <= set(has[first]) if first.arm == BASE else has[first] == has[second]
    if shared is None and not fits:
        raise ValueError(
            f"{first.arm} and {second.arm} must have the same seeds on {pool.benchmark}; "
            f"{first.arm} has {', '.join(map(str, has[first]))}; {second.arm} has {', '.join(map(str, has[second]))}"
        )
    for seed in has[second]:
        yield seed, pool.runs[Run(*first, seed if shared is None else shared)], pool.runs[Run(*second, seed)]
