"""Is the judge good enough to train with?"""

from collections.abc import Sequence
from dataclasses import dataclass

from perception_r1 import sections
from perception_r1.errors import GateFailed
from perception_r1.validate.metrics import JudgeMetrics


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement: what was measured, the limit, and whether it holds."""

    name: str
    measured: float
    limit: float
    passed: bool
    says: str


def gates(metrics: JudgeMetrics, settings: sections.Validate) -> list[Gate]:
    """The requirements of a configuration, each with what was measured.

    The worst slice has a gate of its own: a policy finds the one trick that pays, however rare it is in the gold set.
    """
    worst = max(metrics.slices, key=lambda part: part.false_credit)
    kappa, credit, unknown = metrics.kappa_low, metrics.false_credit_high, metrics.unknown
    return [
        _at_least("kappa", kappa, settings.min_kappa, "lower limit of its agreement with the labels"),
        _at_most("false_credit", credit, settings.max_false_credit, "upper limit of what it credits wrongly"),
        _at_most(
            "worst_slice", worst.false_credit, settings.max_false_credit, f"what it credits wrongly in {worst.slice!r}"
        ),
        _at_most("unknown", unknown, settings.max_unknown, "verdicts that it failed to give"),
    ]


def check(gates: Sequence[Gate], enforce: bool) -> None:
    """Raises GateFailed with every gate that failed, if they are enforced."""
    failed = [gate for gate in gates if not gate.passed]
    if failed and enforce:
        raise GateFailed(f"the judge is not good enough to train with: {'; '.join(gate.says for gate in failed)}")


def _at_least(name: str, measured: float, limit: float, what: str) -> Gate:
    return Gate(name, measured, limit, measured >= limit, f"{name} {measured:.3f}, at least {limit:g} ({what})")


def _at_most(name: str, measured: float, limit: float, what: str) -> Gate:
    return Gate(name, measured, limit, measured <= limit, f"{name} {measured:.3f}, at most {limit:g} ({what})")
