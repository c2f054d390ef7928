"""The page: findings into rows and pictures, which `page.html` sets."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from perception_r1.compare.contrast import BASE, EVERY, ArmSummary, Contrast
from perception_r1.compare.pools import Outcome
from perception_r1.compare.words import confidence, interval, percent, pvalue, signed
from perception_r1.report import methods, pictures
from perception_r1.report.evaluation import evaluation
from perception_r1.report.findings import (
    ANSWERS,
    SEES,
    Findings,
    Setting,
    over_seeds,
    pairs,
    rows,
    shown,
    trained,
)
from perception_r1.report.verdict import besides, verdict

OUTCOMES: tuple[Outcome, ...] = (ANSWERS, SEES)
NOTHING = "–"


def page(findings: Findings) -> str:
    """The report as one HTML page that needs nothing else."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "pvalue": pvalue,
        "signed": signed,
        "value": _value,
        "name": _name,
        "unbroken": _unbroken,
        "cut": pictures.cut,
    }
    arms = list(dict.fromkeys([*trained(findings), *findings.rollouts]))
    return environment.get_template("page.html").render(
        findings=findings,
        verdict=verdict(findings),
        alpha=next((row.alpha for row in findings.contrasts), 0.05),
        confidence=confidence(next((row.alpha for row in findings.contrasts), 0.05)),
        outcomes=OUTCOMES,
        besides=besides(findings),
        curve_arms=list(findings.rollouts),
        arm_class=lambda arm: pictures.arm_class(arms, arm),
        settings=[_setting(findings, setting) for setting in shown(findings)],
        tests=methods.tests(findings),
        design=methods.design(findings),
        planned=methods.power(findings),
        target=f"{100 * float(findings.config.get('compare', {}).get('power', 0.8)):g}\u00a0%",
        explored=methods.exploratory(findings),
        corrected=methods.corrected(findings.corrections),
        arms=arms,
        terms=_curves(findings, arms),
        evaluation=evaluation(findings),
        judge=_scalars(findings.judge),
        gates=[_gate(gate) for gate in findings.judge.get("gates", ())],
        judged={name: value for name, value in findings.judge.items() if name != "gates" and _is_table(value)},
        quality=_scalars(findings.quality or {}),
        funnel=_funnel(findings.funnel),
        config=json.dumps(findings.config, indent=2, ensure_ascii=False, default=str),
    )


def _setting(findings: Findings, setting: Setting) -> Mapping[str, Any]:
    """All that the page shows of one benchmark."""
    changes = {outcome: rows(findings, setting, "before and after", outcome) for outcome in OUTCOMES}
    against = {outcome: rows(findings, setting, "arm against arm", outcome) for outcome in OUTCOMES}
    arms = trained(findings)
    return {
        "name": str(setting),
        "slopes": [(outcome, pictures.slopes(found, arms)) for outcome, found in changes.items() if found],
        "changes": _changes(changes),
        "against": [part for outcome, found in against.items() for part in _against(outcome, found)],
        "spread": _spread([s for s in findings.spread if (s.benchmark, s.condition) == setting], arms),
        "control": _control(findings, changes),
        "left_out": sum(
            row.items_left_out
            for found in (*changes.values(), *against.values())
            for row in found
            if row.seed is not None
        ),
    }


def _changes(changes: Mapping[Outcome, Sequence[Contrast]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Of each arm a row a seed, and the means: of each outcome before, after and p."""
    found: dict[str, dict[int | None, dict[Outcome, Contrast]]] = {}
    for outcome, contrasts in changes.items():
        for row in contrasts:
            found.setdefault(row.second, {}).setdefault(row.seed, {})[outcome] = row
    return [
        (arm, [{"seed": seed, "cells": _cells(by)} for seed, by in of_arm.items()]) for arm, of_arm in found.items()
    ]


def _cells(by: Mapping[Outcome, Contrast]) -> list[str]:
    return [cell for outcome in OUTCOMES for cell in _change(by.get(outcome))]


def _change(row: Contrast | None) -> list[str]:
    if row is None or row.first_rate is None or row.second_rate is None:
        return [NOTHING] * 3
    p = row.p_exact if row.test == "McNemar" and row.clusters is None else row.p
    return [_share(row.first_rate), _share(row.second_rate), _p(p)]


def _against(outcome: Outcome, contrasts: Sequence[Contrast]) -> list[Mapping[str, Any]]:
    """A table a pair of arms: its rows with a picture of the interval on a common scale."""
    ends = pictures.scale(contrasts)
    return [
        {
            "outcome": outcome,
            "first": group[0].first,
            "second": group[0].second,
            "clustered": any(row.clusters for row in group),
            "rows": [_row(row, ends) for row in group],
            "over": over_seeds(group),
        }
        for group in pairs(contrasts)
    ]


def _row(row: Contrast, ends: tuple[float, float]) -> Mapping[str, Any]:
    reach = NOTHING if row.low is None or row.high is None else interval(row.low, row.high)
    return {
        "seed": row.seed,
        "first": NOTHING if row.first_rate is None else _share(row.first_rate),
        "second": NOTHING if row.second_rate is None else _share(row.second_rate),
        "only": NOTHING if row.b is None else f"{row.b:,} / {row.c:,}",
        "difference": NOTHING if row.difference is None else signed(row.difference),
        "interval": reach,
        "strip": pictures.strip(row, ends),
        "p": _p(row.p),
        "p_adjusted": _p(row.p_adjusted),
        "shown": row.shown,
        "says": row.sentence,
    }


def _spread(summaries: Sequence[ArmSummary], arms: Sequence[str]) -> list[Mapping[str, Any]]:
    """A row an arm and stratum: of each outcome the mean, the standard deviation and the range over seeds."""
    found: dict[tuple[str, str], dict[Outcome, ArmSummary]] = {}
    for summary in sorted(summaries, key=lambda summary: [BASE, *arms].index(summary.arm)):
        found.setdefault((summary.arm, summary.stratum), {})[summary.outcome] = summary
    return [
        {
            "arm": arm,
            "stratum": stratum,
            "every": stratum == EVERY,
            "cells": [cell for outcome in OUTCOMES for cell in _of_seeds(by.get(outcome))],
        }
        for (arm, stratum), by in found.items()
    ]


def _of_seeds(summary: ArmSummary | None) -> list[str]:
    if summary is None:
        return [NOTHING] * 3
    sd = NOTHING if summary.sd is None else _share(summary.sd)
    return [_share(summary.mean), sd, f"{_share(summary.min)}–{_share(summary.max)}"]


def _control(findings: Findings, changes: Mapping[Outcome, Sequence[Contrast]]) -> list[str]:
    """What the rows of the control arm say, over seeds where there are several."""
    of = [[row for row in found if row.second == findings.control] for found in changes.values()]
    kept = [over_seeds(found) or found[0] for found in of if found]
    return [row.sentence for row in kept]


def _curves(findings: Findings, arms: Sequence[str]) -> list[tuple[str, Markup]]:
    told = (findings.rollouts, findings.looks)
    return [(term, pictures.curves(*told, term, arms)) for term in pictures.terms(*told)]


def _funnel(steps: Iterable[tuple[str, int]]) -> list[tuple[str, int, float]]:
    """The steps with the lengths of their bars in percent of the longest."""
    listed = list(steps)
    most = max((count for _, count in listed), default=0) or 1
    return [(step, count, 100 * count / most) for step, count in listed]


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """What can stand as one number or word; None stays, as it was asked for and is not known."""
    return {name: value for name, value in values.items() if value is None or isinstance(value, str | int | float)}


def _is_table(value: Any) -> bool:
    """True for a list of mappings with the same keys."""
    rows = list(value) if isinstance(value, list | tuple) else []
    return bool(rows) and all(isinstance(row, Mapping) and row.keys() == rows[0].keys() for row in rows)


def _gate(gate: Mapping[str, Any]) -> Mapping[str, Any]:
    says = gate.get("says") or f"{_name(gate['name'])} {_value(gate['measured'])}, limit {_value(gate['limit'])}"
    return {"says": says, "passed": gate["passed"]}


def _share(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _p(p: float | None) -> str:
    return NOTHING if p is None else pvalue(p)


def _value(value: Any) -> str:
    """A metric for people."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _name(name: str) -> str:
    """A metric's name for people."""
    return name.replace("_", " ")


def _unbroken(text: str) -> str:
    """The text with numbers that are not parted from their percent signs."""
    return text.replace(" %", "\u00a0%")
