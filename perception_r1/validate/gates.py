"""Is the judge good enough to train with?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log

from perception_r1 import sections
from perception_r1.compare import proportion_ci
from perception_r1.compare.checks import Interval
from perception_r1.errors import GateFailed
from perception_r1.judges import Counts
from perception_r1.validate.metrics import ArmMetrics, JudgeMetrics, SliceMetrics
from perception_r1.validate.repeats import Repeat

PROBE = "probe: "


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement: what was measured, the limit, and whether it holds."""

    name: str
    measured: float
    limit: float
    passed: bool
    says: str


def gates(
    metrics: JudgeMetrics, settings: sections.Validate, repeats: Sequence[Repeat] = (), counts: Counts | None = None
) -> list[Gate]:
    """The requirements of a configuration, each with what was measured.

    The worst slice has a gate of its own: a policy finds the one trick that pays, however rare it is in the gold set.
    """
    return [
        *_agreement(metrics, settings),
        *_repeated({repeat.name: repeat for repeat in repeats}, settings),
        *_bias(metrics, settings),
        *_budget(counts, settings),
    ]


def check(gates: Sequence[Gate], accepted: str = "", rows: Iterable[Mapping[str, object]] = ()) -> None:
    """Raises GateFailed with every gate that failed and the rows, unless there is a reason to accept the judge."""
    failed = [gate for gate in gates if not gate.passed]
    if failed and not accepted:
        raise GateFailed(
            f"the judge is not good enough to train with: {'; '.join(gate.says for gate in failed)}. Use a better "
            'judge or wording, or say why you train on it all the same: --accept-judge "REASON"'
        ).about(rows)


def _agreement(metrics: JudgeMetrics, settings: sections.Validate) -> Iterator[Gate]:
    worst = max(metrics.slices, key=lambda part: part.false_credit)
    kappa, credit, unknown = metrics.kappa_low, metrics.false_credit_high, metrics.unknown
    low, says = metrics.sensitivity_low, f"what it credits wrongly in {worst.slice!r}"
    yield _at_least("kappa", kappa, settings.min_kappa, "lower limit of its agreement with the labels")
    yield _at_least("sensitivity", low, settings.min_sensitivity, "lower limit of what it credits rightly")
    yield _at_most("false_credit", credit, settings.max_false_credit, "upper limit of what it credits wrongly")
    yield _at_most("worst_slice", worst.false_credit, settings.max_worst_slice, says)
    yield _at_most("unknown", unknown, settings.max_unknown, "verdicts that it failed to give")
    families = [part for part in metrics.slices if part.slice.startswith(PROBE) and part.uncredited]
    if families:
        yield _probes(families, settings.max_probe)


def _probes(families: Sequence[SliceMetrics], limit: float) -> Gate:
    """The family of probes of which least is known, or most is wrong."""
    highs = {part.slice: _upper(part.falsely_credited, part.uncredited) for part in families}
    worst = max(families, key=lambda part: highs[part.slice])
    found = f"{worst.falsely_credited} of {worst.uncredited} credited in {worst.slice!r}"
    needed = ceil(log(0.05) / log(1 - limit)) if 0 < limit < 1 else 0
    few = worst.uncredited < needed and not worst.falsely_credited
    more = f"; {needed} without credit would show it: raise validate.problems" if few else ""
    return _at_most("probe", highs[worst.slice], limit, f"upper limit, {found}{more}")


def _upper(k: int, n: int) -> float:
    """The exact one-sided upper limit of 95 %."""
    return proportion_ci(k, n, alpha=0.1).clopper_pearson.high


def _repeated(repeats: dict[str, Repeat], settings: sections.Validate) -> Iterator[Gate]:
    for name, repeat in repeats.items():
        if name == "again" or name.startswith("reworded"):
            limit = settings.max_flips if name == "again" else settings.max_rewording_flips
            yield _at_most(f"flips_{name}", repeat.flips, limit, f"other verdicts, {name}")
    if order := repeats.get("reordered"):
        effect = abs(order.difference) if order.midp <= 0.05 else 0.0
        says = "credit with the facts in reverse order, where McNemar tells it from chance"
        yield _at_most("order", effect, settings.max_order_effect, says)


def _bias(metrics: JudgeMetrics, settings: sections.Validate) -> Iterator[Gate]:
    slope = metrics.length_slope
    yield _at_most("length", abs(slope), settings.max_length_slope, "error in credit for each 100 tokens")
    if len(metrics.arms) > 1:
        name, gap = max(_gaps(metrics.arms), key=lambda found: _farthest(found[1]))
        says = f"farthest end of the interval of the arms' difference in {name}"
        yield _at_most("arm_gap", _farthest(gap), settings.max_arm_gap, says)


def _gaps(arms: Sequence[ArmMetrics]) -> Iterator[tuple[str, Interval]]:
    """Newcombe's intervals of the differences between the first arm and the others."""
    first = arms[0]
    for arm in arms[1:]:
        for name in ("sensitivity", "specificity"):
            one, two = (_limits(each, name) for each in (first, arm))
            down = ((one[0] - one[1]) ** 2 + (two[2] - two[0]) ** 2) ** 0.5
            up = ((one[2] - one[0]) ** 2 + (two[0] - two[1]) ** 2) ** 0.5
            gap = one[0] - two[0]
            yield f"{name} ({first.arm}, {arm.arm})", Interval(gap - down, gap + up)


def _limits(arm: ArmMetrics, name: str) -> tuple[float, float, float]:
    return getattr(arm, name), getattr(arm, f"{name}_low"), getattr(arm, f"{name}_high")


def _farthest(gap: Interval) -> float:
    return max(abs(gap.low), abs(gap.high))


def _budget(counts: Counts | None, settings: sections.Validate) -> Iterator[Gate]:
    if counts and settings.max_p95_s:
        yield _at_most("p95_s", counts.requests.p95_s, settings.max_p95_s, "latency of the slowest twentieth")
    if counts and settings.max_tokens and counts.wanted:
        tokens = 1000 * (counts.requests.prompt_tokens + counts.requests.completion_tokens) / counts.wanted
        yield _at_most("tokens", tokens, settings.max_tokens, "for 1,000 verdicts")


def _at_least(name: str, measured: float, limit: float, what: str) -> Gate:
    return Gate(name, measured, limit, measured >= limit, f"{name} {measured:.3f}, at least {limit:g} ({what})")


def _at_most(name: str, measured: float, limit: float, what: str) -> Gate:
    return Gate(name, measured, limit, measured <= limit, f"{name} {measured:.3f}, at most {limit:g} ({what})")
