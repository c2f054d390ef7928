"""A judge's report for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

INTERVALS = {  # a number and the fields that hold its limits
    "kappa": ("kappa_low", "kappa_high"),
    "sensitivity": ("sensitivity_low", None),
    "specificity": ("specificity_low", None),
    "false_credit": (None, "false_credit_high"),
    "length_slope": ("length_slope_low", "length_slope_high"),
}
PLAIN = (
    *("accuracy", "precision", "f1", "mcc", "gwet_ac1", "pair_accuracy", "rank_agreement", "sign_agreement", "unknown"),
    *("matcher_share", "matcher_precision", "evidence_found", "requests", "requests_failed", "replies_unhealthy"),
    *("tokens_per_1000_verdicts", "cost_usd", "p50_s", "p95_s"),
)
TABLES = ("slices", "types", "arms", "repeats", "contenders", "people")


def as_text(report: Mapping[str, Any]) -> str:
    """The numbers with their intervals, each table, and the gates last."""
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"Judge {report['judge']!r}, wording {report['prompt']!r}: {report['n']:,} verdicts on the locked test split"
    if report.get("family"):
        yield f"  It is of the policy's own family ({report['family']}): judges favour what is like themselves"
    for name, (low, high) in INTERVALS.items():
        ends = ", ".join(
            f"{word} {_number(report[end])}" for word, end in (("at least", low), ("at most", high)) if end
        )
        yield f"  {name:26}{_number(report[name]):>9}   {ends}"
    yield from (f"  {name:26}{_number(report[name]):>9}" for name in PLAIN if report.get(name) is not None)
    for name in TABLES:
        if rows := report.get(name):
            yield from ("", name.capitalize(), *_table(rows))
    if not report.get("arms"):
        yield from ("", "Arms: not measured; it takes people's labels of both models' responses: docs/validate.md")
    yield from ("", "Gates")
    yield from (f"  {'passed' if gate['passed'] else 'FAILED'}  {gate['says']}" for gate in report["gates"])


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The rows under their columns, the first one to the left."""
    cells = [list(rows[0]), *([_number(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        yield f"  {'  '.join([line[0].ljust(widths[0]), *rest])}"


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
