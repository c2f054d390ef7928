"""How well a judge's verdicts agree with the gold set's labels."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from perception_r1.compare import proportion_ci
from perception_r1.judges import evidence_span
from perception_r1.records import Judgement, Verdict
from perception_r1.validate.gold import GoldVerdict
from perception_r1.validate.groups import pair_accuracy, rank_agreement, sign_agreement
from perception_r1.validate.length import length_slope
from perception_r1.validate.slices import Label

LABELS: tuple[Label, ...] = get_args(Label)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
RESAMPLES = 2000

Cells = NDArray[np.int64]  # (..., label, verdict)


@dataclass(frozen=True, slots=True)
class SliceMetrics:
    """One slice: how many verdicts, how many are right, credited though they should not be, or not known."""

    slice: str
    n: int
    right: int
    uncredited: int  # rows that must earn nothing: labelled contradicted or absent
    falsely_credited: int
    unknown: int

    @property
    def false_credit(self) -> float:
        """The share of its rows that must earn nothing and did."""
        return self.falsely_credited / self.uncredited if self.uncredited else 0.0


@dataclass(frozen=True, slots=True)
class ArmMetrics:
    """The responses of one arm: what of the supported is credited, and of the rest not, with 95 % intervals."""

    arm: str
    n: int
    sensitivity: float
    sensitivity_low: float
    sensitivity_high: float
    specificity: float
    specificity_low: float
    specificity_high: float
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True)
class JudgeMetrics:
    """The agreement of a judge with a gold set; intervals are of 95 %. Credit is the verdict "supported"."""

    n: int
    confusion: tuple[tuple[int, ...], ...]  # rows: supported, contradicted, absent; columns: those and unknown
    accuracy: float
    kappa: float
    kappa_low: float
    kappa_high: float
    gwet_ac1: float
    false_credit: float  # of the contradicted and absent facts, the share that is called supported
    false_credit_high: float  # its exact upper limit
    sensitivity: float  # of the supported facts, the share that is found
    sensitivity_low: float
    specificity: float  # of the others, the share that is known and not credited
    specificity_low: float
    precision: float  # of what is credited, the share that is right
    f1: float
    mcc: float  # Matthews' coefficient of credit
    pair_accuracy: float | None  # a fact and one edit of it, both judged right; None without such pairs
    rank_agreement: float | None  # Kendall's tau-b in the responses to one problem: what the gradient sees
    sign_agreement: float | None  # of the responses' advantages
    length_slope: float  # error in credit for each 100 tokens of a response
    length_slope_low: float
    length_slope_high: float
    unknown: float
    matcher_share: float
    matcher_precision: float | None  # of what the matcher decided, the share that is right; None if it decided nothing
    evidence_found: float | None  # of the model's quotations, the share that stands in the response
    slices: tuple[SliceMetrics, ...]
    types: tuple[SliceMetrics, ...]
    arms: tuple[ArmMetrics, ...]


def judge_metrics(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement], seed: int = 0) -> JudgeMetrics:
    """The metrics of judgements on gold verdicts, in the same order.

    Cohen's kappa counts "unknown" as a fourth answer that is never right. Its interval is from drawing whole problems
    with replacement: the rows of one problem are edits of one another, and are not independent.
    """
    if not gold or len(gold) != len(judgements):
        raise ValueError(f"one judgement for each gold verdict is needed, got {len(judgements)} for {len(gold)}")
    by_problem = _counted(gold, judgements)
    cells = by_problem.sum(axis=0)
    low, high = _kappa_interval(by_problem, seed)
    slope, slope_low, slope_high = length_slope(gold, judgements, seed)
    positives, found, negatives, credited = _credit(cells)
    rejected = int(cells[1:, 1:3].sum())
    matched = [g.label == j.verdict for g, j in zip(gold, judgements, strict=True) if j.decided_by == "matcher"]
    return JudgeMetrics(
        n=len(gold),
        confusion=tuple(tuple(int(cell) for cell in row) for row in cells),
        accuracy=float(np.trace(cells[:, :3]) / len(gold)),
        kappa=float(_kappa(cells)),
        kappa_low=low,
        kappa_high=high,
        gwet_ac1=_gwet_ac1(cells),
        false_credit=credited / negatives if negatives else 0.0,
        false_credit_high=proportion_ci(credited, negatives).clopper_pearson.high if negatives else 1.0,
        sensitivity=found / max(1, positives),
        sensitivity_low=_wilson(found, positives)[0],
        specificity=rejected / max(1, negatives),
        specificity_low=_wilson(rejected, negatives)[0],
        precision=found / max(1, found + credited),
        f1=2 * found / max(1, 2 * found + credited + positives - found),
        mcc=_mcc(found, credited, positives - found, negatives - credited),
        pair_accuracy=pair_accuracy(gold, judgements),
        rank_agreement=rank_agreement(gold, judgements),
        sign_agreement=sign_agreement(gold, judgements),
        length_slope=slope,
        length_slope_low=slope_low,
        length_slope_high=slope_high,
        unknown=float(cells[:, 3].sum() / len(gold)),
        matcher_share=len(matched) / len(gold),
        matcher_precision=sum(matched) / len(matched) if matched else None,
        evidence_found=_evidence_found(gold, judgements),
        slices=_by(gold, judgements, lambda row: row.slice),
        types=_by(gold, judgements, lambda row: row.type),
        arms=_by_arm(gold, judgements),
    )


def _counted(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement]) -> Cells:
    """The confusion of each problem: (problem, label, verdict)."""
    places = {problem: place for place, problem in enumerate(dict.fromkeys(row.problem for row in gold))}
    cells = np.zeros((len(places), len(LABELS), len(VERDICTS)), dtype=np.int64)
    for row, judgement in zip(gold, judgements, strict=True):
        cells[places[row.problem], LABELS.index(row.label), VERDICTS.index(judgement.verdict)] += 1
    return cells


def _credit(cells: Cells) -> tuple[int, int, int, int]:
    """The supported facts and how many of them are credited, then the same of the others."""
    return int(cells[0].sum()), int(cells[0, 0]), int(cells[1:].sum()), int(cells[1:, 0].sum())


def _mcc(tp: int, fp: int, fn: int, tn: int) -> float:
    """Matthews' coefficient; 0 where credit is given always or never."""
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / math.sqrt(margins)) if margins else 0.0


def _wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's interval; all of 0 to 1 where nothing was seen."""
    if not n:
        return 0.0, 1.0
    found = proportion_ci(k, n).wilson
    return found.low, found.high


def _kappa(cells: NDArray[Any]) -> Any:
    """Cohen's kappa of each (label, verdict) table; 0 where one answer is all there is, for chance would do as well."""
    n = cells.sum(axis=(-2, -1))
    agreed = np.trace(cells[..., :3], axis1=-2, axis2=-1) / n
    chance = (cells.sum(axis=-1) * cells.sum(axis=-2)[..., :3]).sum(axis=-1) / n**2
    return np.where(chance < 1, (agreed - chance) / np.where(chance < 1, 1 - chance, 1), 0.0)


def _kappa_interval(by_problem: Cells, seed: int) -> tuple[float, float]:
    problems = len(by_problem)
    draws = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1 / problems), size=RESAMPLES)
    resampled = (draws @ by_problem.reshape(problems, -1)).reshape(RESAMPLES, len(LABELS), len(VERDICTS))
    low, high = np.quantile(_kappa(resampled), (0.025, 0.975))
    return float(low), float(high)


def _gwet_ac1(cells: Cells) -> float:
    """Gwet's AC1 (2008) over the answers that occur; unlike kappa it does not fall when one of them is rare."""
    n = cells.sum()
    labels = np.append(cells.sum(axis=1), 0)
    share = (labels + cells.sum(axis=0)) / (2 * n)
    occurring = int((share > 0).sum())
    agreed = float(np.trace(cells[:, :3]) / n)
    if occurring < 2:
        return agreed
    chance = float((share * (1 - share)).sum()) / (occurring - 1)
    return (agreed - chance) / (1 - chance)


def _evidence_found(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement]) -> float | None:
    """Of the model's quotations the share that stands in the response: a judge that makes them up did not read."""
    quoted = [
        evidence_span(row.response, judgement.evidence) is not None
        for row, judgement in zip(gold, judgements, strict=True)
        if judgement.asked and judgement.evidence
    ]
    return sum(quoted) / len(quoted) if quoted else None


def _by(
    gold: Sequence[GoldVerdict], judgements: Sequence[Judgement], key: Callable[[GoldVerdict], str]
) -> tuple[SliceMetrics, ...]:
    pairs: dict[str, list[tuple[Label, Verdict]]] = defaultdict(list)
    for row, judgement in zip(gold, judgements, strict=True):
        pairs[key(row)].append((row.label, judgement.verdict))
    return tuple(_slice(name, rows) for name, rows in pairs.items())


def _slice(name: str, rows: Sequence[tuple[Label, Verdict]]) -> SliceMetrics:
    uncredited = [verdict for label, verdict in rows if label != "supported"]
    right = sum(label == verdict for label, verdict in rows)
    unknown = sum(verdict == "unknown" for _, verdict in rows)
    return SliceMetrics(name, len(rows), right, len(uncredited), uncredited.count("supported"), unknown)


def _by_arm(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement]) -> tuple[ArmMetrics, ...]:
    """Each arm's; none where the responses are of no arm."""
    cells: dict[str, Cells] = defaultdict(lambda: np.zeros((len(LABELS), len(VERDICTS)), dtype=np.int64))
    for row, judgement in zip(gold, judgements, strict=True):
        if row.arm:
            cells[row.arm][LABELS.index(row.label), VERDICTS.index(judgement.verdict)] += 1
    return tuple(_arm(name, table) for name, table in sorted(cells.items()))


def _arm(name: str, cells: Cells) -> ArmMetrics:
    positives, found, negatives, _ = _credit(cells)
    rejected = int(cells[1:, 1:3].sum())
    return ArmMetrics(
        name,
        int(cells.sum()),
        found / max(1, positives),
        *_wilson(found, positives),
        rejected / max(1, negatives),
        *_wilson(rejected, negatives),
        positives,
        negatives,
    )
