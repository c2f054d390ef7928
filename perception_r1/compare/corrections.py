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
from scipy import special

from perception_r1.compare.contrast import UNTOUCHED, Contrast
from perception_r1.compare.judges import LEAST_YOUDEN
from perception_r1.compare.misclassification import CorrectedTable, JudgeErrors, paired_misclassification_inverse
from perception_r1.compare.pairing import RIGHT
from perception_r1.compare.pools import Marks, Pool, Run, pools
from perception_r1.compare.ppi import ppi_paired_difference
from perception_r1.compare.seeds import item_seed_difference
from perception_r1.compare.tested import known_in_all, paired
from perception_r1.compare.words import confidence, interval, signed

LEAST_LABELS = 30  # of items that people labelled in both arms
Method = Literal["error rates", "people's labels"]
# by benchmark, model and seed: items, and what people say of the answers to their untouched pictures
Labels = Mapping[tuple[str, str, int], Mapping[str, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The corrected version of one raw test of judged perception; cells only where error rates give them.

    Over seeds `seed` is None and n counts the seeds, as in the raw test.
    """

    method: Method
    benchmark: str
    condition: str
    first: str
    second: str
    first_condition: str
    seed: int | None
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
    asked = {(pool.benchmark, run.arm, run.seed) for pool in judging.values() for run in pool.runs}
    if labels is not None and (strange := sorted(set(labels) - asked)):
        said = "{1}, seed {2}, on {0}".format(*strange[0])
        raise ValueError(f"the labels are of {said}, which is no judged answer; known: {_some_runs(asked)}")
    raw = [row for row in contrasts if row.outcome == "all facts right" and row.n]
    return [
        made for row in raw if row.benchmark in judging for made in _made(row, judging[row.benchmark], errors, labels)
    ]


def _some_runs(asked: Collection[tuple[str, str, int]]) -> str:
    return "; ".join(f"{arm}, seed {seed}, on {benchmark}" for benchmark, arm, seed in sorted(asked)) or "none"


def _made(row: Contrast, pool: Pool, errors: Mapping[str, JudgeErrors], labels: Labels | None) -> Iterator[Correction]:
    one, other = errors.get(row.first), errors.get(row.second)
    if row.seed is None:
        if made := _over_seeds(row, pool, one, other):
            yield made
        return
    (before, first), (after, second) = _run(pool, row, "first"), _run(pool, row, "second")
    if made := _by_errors(row, one, other, first.facts):
        yield made
    if row.condition == row.first_condition == UNTOUCHED:
        said = [(labels or {}).get((row.benchmark, run.arm, run.seed), {}) for run in (before, after)]
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
    """The corrected cells; groups that repeat widen the items' part of the interval by the design effect."""
    rates = _of_items(one, other, facts)
    if not rates:
        return None
    cells = [row.a or 0, row.b or 0, row.c or 0, row.d or 0]
    found, of_items, of_labels = _inverted(cells, *rates, shared=one is other, alpha=row.alpha)
    if of_items < 1e-15:  # no pair differs: an interval of no width would claim certainty
        return None
    se = math.sqrt(of_items * max(1.0, row.design_effect or 1.0) + of_labels)
    return _correction(row, "error rates", found.difference, se, a=found.a, b=found.c, c=found.b, d=found.d)


def _over_seeds(row: Contrast, pool: Pool, one: JudgeErrors | None, other: JudgeErrors | None) -> Correction | None:
    """The row over seeds put right: items and seeds crossed, as in the raw test, and the labels once for all seeds."""
    after = [replace(row, seed=run.seed) for run in sorted(pool.runs) if run[:2] == (row.second, row.condition)]
    marks = [(_run(pool, each, "first")[1], _run(pool, each, "second")[1]) for each in after]
    rates = _of_items(one, other, marks[0][0].facts)
    if not rates:
        return None
    first, second, groups = known_in_all([paired(pool, each, *both) for each, both in zip(after, marks, strict=True)])
    cells = [float((x * y).mean()) for x in (first, 1 - first) for y in (second, 1 - second)]
    found, _, of_labels = _inverted(cells, *rates, shared=one is other, alpha=row.alpha)
    worth = [1 / (each.sensitivity + each.specificity - 1) for each in rates]
    clusters = groups.tolist() if row.clusters else None
    try:
        chance = item_seed_difference(worth[1] * second - worth[0] * first, clusters, row.alpha)
    except ValueError:  # nothing varies, or one group is all
        return None
    se = math.hypot(chance.se, math.sqrt(of_labels))
    return _correction(row, "error rates", found.difference, se, df=chance.df * (se / chance.se) ** 4)


def _of_items(
    one: JudgeErrors | None, other: JudgeErrors | None, facts: NDArray[np.int64]
) -> tuple[JudgeErrors, JudgeErrors] | None:
    """Both arms' error rates on whole items; None where one's are not known, or no better than chance."""
    if one is None or other is None:
        return None
    first, second = of_all_facts(one, facts), of_all_facts(other, facts)
    youden = min(each.sensitivity + each.specificity - 1 for each in (first, second))
    return (first, second) if youden >= LEAST_YOUDEN else None


def _inverted(
    cells: Sequence[float], first: JudgeErrors, second: JudgeErrors, shared: bool, alpha: float
) -> tuple[CorrectedTable, float, float]:
    """The table behind the judged one, second less first (its b is the row's c); the items' and the labels' variance.

    Error rates that were measured once for both arms are one chance, and only scale the difference: by 1 / J.
    """
    a, b, c, d = cells
    found = paired_misclassification_inverse([a, c, b, d], second, first, alpha)
    sure_second, sure_first = (replace(each, n_pos=None, n_neg=None) for each in (second, first))
    of_items = paired_misclassification_inverse([a, c, b, d], sure_second, sure_first, alpha).se ** 2
    of_labels = max(0.0, found.se**2 - of_items)
    if shared:
        of_labels = (found.difference / (first.sensitivity + first.specificity - 1)) ** 2 * _youden_variance(first)
    return found, of_items, of_labels


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


def _correction(
    row: Contrast, method: Method, difference: float, se: float, df: float = math.inf, **other: Any
) -> Correction:
    half = float(-special.stdtrit(df, row.alpha / 2)) * se
    empty = dict.fromkeys(("labelled", "a", "b", "c", "d", "weight"))
    made = Correction(
        method=method,
        benchmark=row.benchmark,
        condition=row.condition,
        first=row.first,
        second=row.second,
        first_condition=row.first_condition,
        seed=row.seed,
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
    when = f"mean of {made.n} seeds" if made.seed is None else f"seed {made.seed}"
    return (
        f"{where}, {when}, {second} against {first}: {signed(made.raw_difference)} points "
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
