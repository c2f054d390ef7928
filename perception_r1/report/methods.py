"""What the page says of the tests: the declared ones, the exploratory ones, the judge's errors, and the design."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.compare.contrast import ENDPOINTS, Contrast, Endpoint
from perception_r1.compare.corrections import Correction
from perception_r1.compare.words import interval, pvalue, signed
from perception_r1.report import figures
from perception_r1.report.findings import Findings, Setting, claims, settings

NOTHING = "–"


def tests(findings: Findings) -> list[Mapping[str, Any]]:
    """Of each endpoint its forest and its table: a head a contrast, a row a test."""
    return [
        {
            "endpoint": ENDPOINTS[outcome],
            "outcome": outcome,
            "standing": rows[0].standing,
            "forest": figures.forest(rows),
            "clustered": any(row.p_clustered is not None for row in rows),
            "groups": list(_groups(rows)),
        }
        for outcome, rows in claims(findings.contrasts).items()
    ]


def _groups(rows: Sequence[Contrast]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    titles = [title(row) for row in rows]
    for name in dict.fromkeys(titles):
        yield name, [_test(row) for row, its in zip(rows, titles, strict=True) if its == name]


def title(row: Contrast | Correction) -> str:
    """What meets what, and where."""
    where = Setting(row.benchmark, row.condition)
    if row.condition == row.first_condition:
        return f"{where}: {row.first} → {row.second}"
    return f"{row.benchmark}: {row.second}, {row.first_condition} → {row.condition}"


def _test(row: Contrast) -> Mapping[str, Any]:
    """A test as cells of a table."""
    odds = NOTHING if row.odds_ratio is None else f"{row.odds_ratio:.2f}"
    if row.odds_low is not None and row.odds_high is not None:
        odds += f" ({row.odds_low:.2f} to {row.odds_high:.2f})"
    cells = [
        _cells(row),
        NOTHING if row.difference is None else signed(row.difference),
        _interval(row.newcombe_low, row.newcombe_high) if row.seed is not None else _interval(row.low, row.high),
        _interval(row.tango_low, row.tango_high),
        odds,
        _p(row.p_exact) if row.seed is not None else NOTHING,
        _p(row.p_midp) if row.seed is not None else NOTHING,
        _p(row.p_clustered if row.seed is not None else row.p),
        _p(row.p_adjusted),
        NOTHING if row.power is None else f"{row.power:.2f}",
        NOTHING if row.needed is None else f"{row.needed:,}",
    ]
    return {"seed": row.seed, "n": row.n, "cells": cells, "shown": row.shown, "says": row.sentence}


def _cells(row: Contrast) -> str:
    """The paired table of a seed; over seeds what stands in its place, the spread of the seeds' differences."""
    if row.seed is None:
        return NOTHING if row.seed_sd is None else f"sd of seeds {100 * row.seed_sd:.1f}"
    return NOTHING if row.a is None else f"{row.a:,} / {row.b:,} / {row.c:,} / {row.d:,}"


def exploratory(findings: Findings) -> list[list[str]]:
    """The tests that nobody declared, a line each, over seeds where there are several."""
    rows = [row for row in findings.contrasts if not row.claimed and row.difference is not None]
    over = {(title(row), row.outcome) for row in rows if row.seed is None}
    kept = [row for row in rows if row.seed is None or (title(row), row.outcome) not in over]
    return [_line(row) for row in kept]


def _line(row: Contrast) -> list[str]:
    seeds = "all" if row.seed is None else str(row.seed)
    reach = _interval(row.low, row.high)
    return [title(row), row.outcome, seeds, signed(row.difference or 0.0), reach, _p(row.p), _p(row.p_adjusted)]


def corrected(corrections: Sequence[Correction]) -> list[list[str]]:
    """The judged differences as judged, and put right, a line each."""
    return [
        [
            title(made),
            "all" if made.seed is None else str(made.seed),
            f"{signed(made.raw_difference)} ({_interval(made.raw_low, made.raw_high)})",
            made.method if made.labelled is None else f"{made.method}, {made.labelled:,} of {made.n:,}",
            NOTHING
            if made.a is None
            else " / ".join(f"{cell or 0.0:,.1f}" for cell in (made.a, made.b, made.c, made.d)),
            f"{signed(made.difference)} ({_interval(made.low, made.high)})",
        ]
        for made in corrections
    ]


def design(findings: Findings) -> Mapping[str, Any]:
    """What the section on methods states of this very study."""
    told = [row for row in findings.contrasts if row.seed is not None]
    declared = claims(findings.contrasts)
    primary: list[Endpoint] = [ENDPOINTS[o] for o, rows in declared.items() if rows[0].standing == "primary"]
    families = Counter(row.family for rows in declared.values() for row in rows if row.p is not None)
    return {
        "alpha": told[0].alpha if told else 0.05,
        "benchmarks": list(dict.fromkeys(setting.benchmark for setting in settings(findings))),
        "conditions": [setting.condition for setting in settings(findings) if not setting.seen],
        "seeds": len({row.seed for row in told}),
        "pairs": max((row.n + row.items_left_out for row in told), default=0),
        "declared": bool(declared),
        "primary": primary[0] if primary else None,
        "contrasts": list(dict.fromkeys(_pair(row) for rows in declared.values() for row in rows)),
        "families": sorted(families.items()),
        "explored": sum(not row.claimed for row in findings.contrasts),
        "clusters": any(row.clusters for row in told),
        "effect": 100 * told[0].effect if told else 5.0,
        "over_seeds": any(row.seed is None for row in findings.contrasts),
        "corrected": bool(findings.corrections),
    }


def _pair(row: Contrast) -> str:
    return f"{row.first} → {row.second}" if row.condition == row.first_condition else title(row)


def power(findings: Findings) -> Mapping[str, Any] | None:
    """The curve of the contrast that the answer is about, with what it says; None where nothing was declared."""
    rows = figures.main_rows(findings.contrasts)
    row = next((row for row in rows if row.power is not None), None)
    if row is None:
        return None
    return {
        "curve": figures.power_curve(row),
        "mosaics": [(each.seed, figures.mosaic(each)) for each in rows],
        "first": row.first,
        "second": row.second,
        "title": title(row),
        "endpoint": ENDPOINTS[row.outcome],
        "n": row.n,
        "points": 100 * row.effect,
        "differ": 100 * max(((row.b or 0) + (row.c or 0)) / row.n, row.effect),  # fewer could not be so far apart
        "power": row.power,
        "needed": row.needed,
    }


def _interval(low: float | None, high: float | None) -> str:
    return NOTHING if low is None or high is None else interval(low, high)


def _p(p: float | None) -> str:
    return NOTHING if p is None else pvalue(p)
