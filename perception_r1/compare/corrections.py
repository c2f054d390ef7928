"""A judged difference put right: by the judge's error rates in each arm, and by people's labels of a part of the items.

Both are shown beside the raw test and replace none: the first leans on error rates that were measured on other items,
the second on labels of a random part of these.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perception_r1.compare.checks import normal_quantile
from perception_r1.compare.contrast import UNTOUCHED, Contrast
from perception_r1.compare.judges import LEAST_YOUDEN
from perception_r1.compare.misclassification import JudgeErrors, paired_misclassification_inverse
from perception_r1.compare.pairing import RIGHT
from perception_r1.compare.pools import Marks, Pool, Run, pools
from perception_r1.compare.ppi import ppi_paired_difference
from perception_r1.compare.words import confidence, interval, signed

LEAST_LABELS = 30  # of items that people labelled in both arms
Method = Literal["error rates", "people's labels"]
# by benchmark, model and seed: items, and what people say of the answers to their untouched pictures
Labels = Mapping[tuple[str, str, int], Mapping[str, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The corrected version of one raw test of judged perception; cells only where error rates give them."""

    method: Method
    benchmark: str
    condition: str
    first: str
    second: str
    first_condition: str
    seed: int
    n: int
    labelled: int | None  # items that people labelled in both arms
    raw_difference: float
    raw_low: float | None
    raw_high: float | None
    a: float | None
    b: float | None
    c: float | None
    d: float | None
    difference: float
    se: float
    low: float
    high: float
    weight: float | None  # of the judge beside the labels: PPI++'s lambda
    sentence: str


def judge_errors(report: Mapping[str, Any], arms: Collection[str]) -> dict[str, JudgeErrors]:
    """The judge's error rates on single facts for each arm, from its report; the whole gold set's where none are.

    `arms` of a report is a list of mappings with arm, sensitivity, specificity, and the labels behind them, positives
    and negatives; `confusion` has rows supported, contradicted and absent, and columns of these and unknown. Error
    rates without a positive or a negative label are none; the arms of the whole set's share one object.
    """
    own = {row["arm"]: row for row in report.get("arms") or () if row["positives"] and row["negatives"]}
    cells = np.asarray(report["confusion"], dtype=np.int64)
    pos, neg = int(cells[0].sum()), int(cells[1:].sum())
    found = {arm: _own(own[arm]) for arm in arms if arm in own}
    if pos and neg:
        whole = JudgeErrors(float(cells[0, 0] / pos), float(1 - cells[1:, 0].sum() / neg), pos, neg)
        found |= {arm: whole for arm in arms if arm not in own}
    return found


def _own(row: Mapping[str, Any]) -> JudgeErrors:
    return JudgeErrors(row["sensitivity"], row["specificity"], row["positives"], row["negatives"])


def of_all_facts(errors: JudgeErrors, facts: NDArray[np.int64]) -> JudgeErrors:
    """The error rates on "all facts right" of items with these numbers of facts, from those on single facts.

    The judge errs on facts independently. An item that is not right is taken to have one fact wrong, as the judge most
    easily lets such an item pass. The numbers of labels are those that give the same uncertainty (delta method).
    """
    hit, pass_by, k = errors.sensitivity, 1 - errors.specificity, facts.astype(np.float64)
    others = float((hit ** (k - 1)).mean())
    right, passed = float((hit**k).mean()), pass_by * others
    slopes = float((k * hit ** (k - 1)).mean()), others
    n_pos = _as_many(right, slopes[0], hit, errors.n_pos)
    n_neg = _as_many(passed, slopes[1], pass_by, errors.n_neg)
    return JudgeErrors(right, 1 - passed, n_pos, n_neg)


def _as_many(rate: float, slope: float, single: float, labels: int | None) -> int | None:
    """How many labels of whole items are worth as much as these of single facts."""
    if labels is None or not 0 < single < 1 or not slope:
        return labels
    return max(1, round(rate * (1 - rate) * labels / (slope**2 * single * (1 - single))))


def corrections(
    predictions: Any,
    contrasts: Sequence[Contrast],
    judged: Collection[str],
    errors: Mapping[str, JudgeErrors],
    labels: Labels | None = None,
) -> list[Correction]:
    """Every raw test of perception on the judged benchmarks, put right by each method that there is something for."""
    judging = {p.benchmark: p for p in pools(predictions) if p.benchmark in judged and p.outcome == "all facts right"}
    raw = [row for row in contrasts if row.outcome == "all facts right" and row.seed is not None and row.n]
    return [
        made for row in raw if row.benchmark in judging for made in _made(row, judging[row.benchmark], errors, labels)
    ]


def _made(row: Contrast, pool: Pool, errors: Mapping[str, JudgeErrors], labels: Labels | None) -> Iterator[Correction]:
    (one, first), (other, second) = _run(pool, row, "first"), _run(pool, row, "second")
    if made := _by_errors(row, errors.get(row.first), errors.get(row.second), first.facts):
        yield made
    if row.condition == row.first_condition == UNTOUCHED:
        said = [(labels or {}).get((row.benchmark, run.arm, run.seed), {}) for run in (one, other)]
        if made := _by_labels(row, pool, first, second, said[0], said[1]):
            yield made


def _run(pool: Pool, row: Contrast, side: Literal["first", "second"]) -> tuple[Run, Marks]:
    """One side and its outcomes; one run of the model before training is that of all seeds."""
    arm, condition = getattr(row, side), row.condition if side == "second" else row.first_condition
    of_arm = {run.seed: (run, marks) for run, marks in pool.runs.items() if run[:2] == (arm, condition)}
    return of_arm[row.seed] if row.seed in of_arm else next(iter(of_arm.values()))


def _by_errors(
    row: Contrast, one: JudgeErrors | None, other: JudgeErrors | None, facts: NDArray[np.int64]
) -> Correction | None:
    """The corrected cells; groups that repeat widen the items' part of the interval by the design effect.

    Error rates that were measured once for both arms (one object) are one chance, and only scale the difference: by
    1 / J. None without error rates, and from a judge that tells an arm's facts no better than chance.
    """
    if one is None or other is None:
        return None
    first, second = of_all_facts(one, facts), of_all_facts(other, facts)
    if min(each.sensitivity + each.specificity - 1 for each in (first, second)) < LEAST_YOUDEN:
        return None
    cells = [row.a or 0, row.c or 0, row.b or 0, row.d or 0]  # b and c change places: second less first
    sure_second, sure_first = (replace(each, n_pos=None, n_neg=None) for each in (second, first))
    found = paired_misclassification_inverse(cells, second, first, row.alpha)
    of_items = paired_misclassification_inverse(cells, sure_second, sure_first, row.alpha).se ** 2
    of_labels = found.se**2 - of_items
    if one is other:
        of_labels = (found.difference / (first.sensitivity + first.specificity - 1)) ** 2 * _youden_variance(first)
    se = math.sqrt(of_items * max(1.0, row.design_effect or 1.0) + of_labels)
    return _correction(row, "error rates", found.difference, se, a=found.a, b=found.c, c=found.b, d=found.d)


def _youden_variance(errors: JudgeErrors) -> float:
    rates = ((errors.sensitivity, errors.n_pos), (errors.specificity, errors.n_neg))
    return sum(rate * (1 - rate) / labels for rate, labels in rates if labels)


def _by_labels(
    row: Contrast, pool: Pool, first: Marks, second: Marks, one: Mapping[str, bool], other: Mapping[str, bool]
) -> Correction | None:
    """What the judge says of all items, put right by those that people labelled in both arms; None below 30 of them.

    The interval is the normal's, which fewer labels do not carry: two that agree would claim certainty.
    """
    known = (first.right >= 0) & (second.right >= 0)
    items = [pool.items[code] for code in first.item[known]]
    judged = (second.right[known] - first.right[known]).astype(np.float64)
    labelled = np.array([item in one and item in other for item in items], dtype=bool)
    gold = np.array([float(other[i]) - float(one[i]) for i in items if i in one and i in other])
    if len(gold) < LEAST_LABELS:
        return None
    if (~labelled).sum() < 2:  # people saw everything: no judge is needed
        mean, se, weight = float(gold.mean()), float(gold.std(ddof=1)) / math.sqrt(len(gold)), 0.0
    else:
        found = ppi_paired_difference(judged[~labelled].tolist(), judged[labelled].tolist(), gold.tolist(), row.alpha)
        mean, se, weight = found.tuned_estimate, found.tuned_se, found.lambda_tuned
    if not se:  # no label differs from another: an interval of no width would claim certainty
        return None
    se *= math.sqrt(max(1.0, row.design_effect or 1.0))
    return _correction(row, "people's labels", mean, se, labelled=len(gold), weight=weight)


def _correction(row: Contrast, method: Method, difference: float, se: float, **other: Any) -> Correction:
    half = normal_quantile(row.alpha) * se
    empty = dict.fromkeys(("labelled", "a", "b", "c", "d", "weight"))
    made = Correction(
        method=method,
        benchmark=row.benchmark,
        condition=row.condition,
        first=row.first,
        second=row.second,
        first_condition=row.first_condition,
        seed=row.seed or 0,
        n=row.n,
        raw_difference=row.difference or 0.0,
        raw_low=row.low,
        raw_high=row.high,
        difference=difference,
        se=se,
        low=difference - half,
        high=difference + half,
        sentence="",
        **(empty | other),
    )
    return replace(made, sentence=_sentence(made, row.alpha))


def _sentence(made: Correction, alpha: float) -> str:
    how = "the judge's error rates in each arm"
    if made.method == "people's labels":
        how = f"people's labels of {made.labelled:,} of {made.n:,} items"
    where, first, second = made.benchmark, made.first, made.second
    if made.condition != made.first_condition:
        first, second = f"{first} ({made.first_condition})", f"{second} ({made.condition})"
    elif made.condition != UNTOUCHED:
        where = f"{where} ({made.condition})"
    return (
        f"{where}, seed {made.seed}, {second} against {first}: {signed(made.raw_difference)} points "
        f"as judged, {signed(made.difference)} by {how} ({confidence(alpha)} interval {interval(made.low, made.high)})."
    )


LABEL_COLUMNS = ("benchmark", "model", "seed", "item", "perceived")


def read_labels(records: Iterable[Mapping[str, str]]) -> Labels:
    """People's labels of a CSV file's records; raises ValueError for what is missing, repeated or no label."""
    found: dict[tuple[str, str, int], dict[str, bool]] = {}
    for number, record in enumerate(records, 1):
        if missing := [name for name in LABEL_COLUMNS if not record.get(name)]:
            there = ", ".join(str(name) for name in record)
            raise ValueError(f"row {number} of the labels has no {missing[0]}; columns there: {there}")
        said, seed = record["perceived"].strip().lower(), record["seed"].strip()
        if said not in RIGHT or not seed.isdecimal():
            what = "perceived must be 0, 1, true or false" if said not in RIGHT else "seed must be a whole number"
            raise ValueError(
                f"row {number} of the labels: {what}, got {record['perceived' if said not in RIGHT else 'seed']!r}"
            )
        items = found.setdefault((record["benchmark"], record["model"], int(seed)), {})
        if record["item"] in items:
            raise ValueError(f"row {number} of the labels: item {record['item']!r} of {record['model']} comes twice")
        items[record["item"]] = RIGHT[said]
    return found
