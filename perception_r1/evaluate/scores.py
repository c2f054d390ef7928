"""All that is known of predictions at a glance: scores, what the picture is worth, and how much is the harness."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perception_r1.benchmarks.item import Benchmark
from perception_r1.evaluate.fallback import ASKED
from perception_r1.evaluate.gains import Gain, gain
from perception_r1.evaluate.harnesses import sensitivity
from perception_r1.evaluate.metrics import Metric, accuracy, counts, grouped, labelled
from perception_r1.evaluate.perception import perception
from perception_r1.evaluate.sampled import sampled

Row = Mapping[str, Any]
CLEAN = "without what was trained on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of one model on one benchmark under one condition."""

    model: str
    seed: int
    benchmark: str
    condition: str
    part: str  # "answers", "perception", "samples", "harness", "counts"
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    interval: str


def scored(
    rows: Sequence[Row], benchmark: Benchmark, whole: bool, trained_on: Collection[str] = ()
) -> tuple[list[Score], list[Gain]]:
    """The scores of one model on one benchmark, and its gains; `trained_on` are items that training has seen."""
    conditions: dict[str, list[Row]] = defaultdict(list)
    samples = [row for row in rows if row["sample"]]
    for row in rows:
        if not row["sample"]:
            conditions[row["condition"]].append(row)
    scores = [
        _score(of[0], part, metric)
        for of in conditions.values()
        for part, metric in _of_condition(of, benchmark, whole, trained_on)
    ]
    if samples:
        scores += [_score(samples[0], "samples", metric) for metric in sampled(samples)]
    full = conditions.get("full", [])
    others = [gain(full, of) for name, of in conditions.items() if name != "full" and full]
    return scores, [found for found in others if found]


def _of_condition(
    rows: Sequence[Row], benchmark: Benchmark, whole: bool, trained_on: Collection[str]
) -> Iterator[tuple[str, Metric]]:
    """The metrics of one condition by the part that they are of."""
    yield from (("answers", metric) for metric in benchmark.metrics(rows, whole))
    if trained_on:
        yield from (("answers", metric) for metric in _clean(rows, benchmark.metrics, trained_on))
    if any(row["rule"].startswith(ASKED) for row in rows):
        yield "answers", accuracy("accuracy by rules alone", [_by_rules(row) for row in rows])
    if copied := [(row["group"], "yes" in told) for row in rows if (told := labelled(row, "copied"))]:
        yield "answers", grouped("copy rate", copied)
    yield from (("counts", metric) for metric in counts(rows))
    yield from (("perception", metric) for metric in perception(rows))
    if rows[0]["condition"] == "full":
        yield from (("harness", metric) for metric in sensitivity(rows, benchmark))


def _clean(
    rows: Sequence[Row], metrics: Callable[[Sequence[Row], bool], Sequence[Metric]], trained_on: Collection[str]
) -> list[Metric]:
    """Every score again, without the groups of the items that training has seen: a group stays whole or goes."""
    seen = {row["group"] for row in rows if row["item"] in trained_on}
    left = [row for row in rows if row["group"] not in seen]
    return [replace(metric, name=f"{metric.name} {CLEAN}") for metric in metrics(left, False)]


def _by_rules(row: Row) -> Row:
    """The prediction as it was before a model was asked."""
    return {**row, "correct": False} if row["rule"].startswith(ASKED) and row["gold"] else row


def _score(row: Row, part: str, metric: Metric) -> Score:
    return Score(
        model=row["model"],
        seed=row["seed"],
        benchmark=row["benchmark"],
        condition=row["condition"],
        part=part,
        metric=metric.name,
        value=metric.value,
        low=metric.low,
        high=metric.high,
        n=metric.n,
        interval=metric.interval,
    )
