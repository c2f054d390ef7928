"""The findings for a terminal: nothing wider than 100 columns."""

import textwrap
from collections.abc import Iterator, Sequence

from perception_r1.compare.contrast import BASE, EVERY, Contrast
from perception_r1.compare.pools import Outcome
from perception_r1.compare.words import confidence, interval, pvalue, signed
from perception_r1.report.findings import ANSWERS, SEES, Findings, Setting, over_seeds, pairs, rows, shown, trained
from perception_r1.report.verdict import verdict

WIDTH = 100
NAME = 20  # letters of an arm's name
NOTHING = "-"
OUTCOMES: tuple[Outcome, ...] = (ANSWERS, SEES)
NOTE = (
    "Seeds: McNemar, exact before and after and mid-p arm against arm, clustered where items share a picture. "
    "Means: items and seeds crossed. McNemar's test knows nothing of the luck of training: read the means. "
    "* holds after Holm."
)


def summary(findings: Findings) -> str:
    """The verdict, then the tables of every benchmark, as plain text."""
    parts = [findings.title, "=" * min(WIDTH, len(findings.title)), ""]
    if findings.meaningless:
        parts += _wrapped("MEANINGLESS: these numbers are too small for any conclusion."), ""
    parts += [_wrapped(verdict(findings)), ""]
    for setting in shown(findings):
        parts += [*_changes(findings, setting), "", *_spread(findings, setting), ""]
        for outcome in OUTCOMES:
            for group in pairs(rows(findings, setting, "arm against arm", outcome)):
                parts += [*_against(setting, group), *_put_right(findings, group), ""]
    return "\n".join([*parts, *_control(findings), "", _wrapped(NOTE)]) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def _changes(findings: Findings, setting: Setting) -> Iterator[str]:
    """Before and after, a line an arm and seed."""
    found: dict[tuple[str, int | None], dict[Outcome, Contrast]] = {}
    for outcome in OUTCOMES:
        for row in rows(findings, setting, "before and after", outcome):
            found.setdefault((row.second, row.seed), {})[outcome] = row
    yield f"{_cut(str(setting), NAME):{NAME}} {'':5}" + "".join(f"{outcome:^29}" for outcome in OUTCOMES).rstrip()
    yield f"{'arm':{NAME}} {'seed':>5}" + f"{'before, %':>12}{'after, %':>10}{'p':>7}" * len(OUTCOMES)
    for (arm, seed), by in found.items():
        cells = "".join(_change(by.get(outcome)) for outcome in OUTCOMES)
        yield f"{_cut(arm, NAME):{NAME}} {_seed(seed):>5}{cells}"


def _change(row: Contrast | None) -> str:
    if row is None:
        return f"{NOTHING:>12}{NOTHING:>10}{NOTHING:>7}"
    p = row.p_exact if row.seed is not None and row.clusters is None else row.p
    return f"{_share(row.first_rate):>12}{_share(row.second_rate):>10}{_p(p):>7}"


def _spread(findings: Findings, setting: Setting) -> Iterator[str]:
    """The spread over seeds, a line an arm and outcome."""
    yield f"{'spread over seeds':{NAME}} {'':16}{'mean, %':>10}{'sd':>8}{'least':>9}{'most':>9}"
    order = [BASE, *trained(findings)]
    for row in sorted(findings.spread, key=lambda row: order.index(row.arm)):
        if (row.benchmark, row.condition) == setting and row.stratum == EVERY:
            cells = f"{_share(row.mean):>10}{_share(row.sd):>8}{_share(row.min):>9}{_share(row.max):>9}"
            yield f"{_cut(row.arm, NAME):{NAME}} {row.outcome:16}{cells}"


def _against(setting: Setting, group: Sequence[Contrast]) -> Iterator[str]:
    """One pair of arms, a line a seed."""
    first, second = (_cut(name, NAME) for name in (group[0].first, group[0].second))
    yield f"{_cut(str(setting), NAME)}: {group[0].outcome}, {second} against {first}"
    heads = ("first, %", "second, %", "difference", f"{confidence(group[0].alpha)} interval", "p", "Holm")
    yield f"{'seed':>5}" + "".join(f"{head:>{width}}" for head, width in zip(heads, COLUMNS, strict=True))
    for row in group:
        reach = NOTHING if row.low is None or row.high is None else interval(row.low, row.high)
        difference = NOTHING if row.difference is None else signed(row.difference)
        cells = (_share(row.first_rate), _share(row.second_rate), difference, reach, _p(row.p), _p(row.p_adjusted))
        line = "".join(f"{cell:>{width}}" for cell, width in zip(cells, COLUMNS, strict=True))
        yield f"{_seed(row.seed):>5}{line}{' *' if row.shown else ''}"


COLUMNS = (11, 11, 12, 19, 8, 8)


def _put_right(findings: Findings, group: Sequence[Contrast]) -> Iterator[str]:
    """The same differences with the judge's errors taken out, where a judge read the facts."""
    raw = {(row.benchmark, row.condition, row.first, row.second, row.outcome) for row in group}
    found = [m for m in findings.corrections if (m.benchmark, m.condition, m.first, m.second, SEES) in raw]
    if found:
        yield "with the judge's errors taken out"
    for made in found:
        yield f"{_seed(made.seed):>5}{signed(made.difference):>34}{interval(made.low, made.high):>19}  by {made.method}"


def _control(findings: Findings) -> Iterator[str]:
    """What the control arm changed, or how to run one."""
    if not findings.control:
        yield _wrapped("Control: not run; use --profile full.")
    for setting in shown(findings) if findings.control else []:
        for outcome in OUTCOMES:
            changes = rows(findings, setting, "before and after", outcome)
            of = [row for row in changes if row.second == findings.control]
            if row := over_seeds(of) or next(iter(of), None):
                yield _wrapped(f"Control: {row.sentence}")


def _seed(seed: int | None) -> str:
    return "mean" if seed is None else str(seed)


def _share(rate: float | None) -> str:
    return NOTHING if rate is None else f"{100 * rate:.1f}"


def _p(p: float | None) -> str:
    return NOTHING if p is None else pvalue(p)


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
