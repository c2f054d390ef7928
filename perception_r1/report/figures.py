"""The drawings of the tests: a forest of intervals, the paired table as a mosaic, and what a study of n items finds."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from perception_r1.compare.contrast import ENDPOINTS, Contrast
from perception_r1.compare.power import MOST_PAIRS, mcnemar_power
from perception_r1.compare.words import interval, percent, signed
from perception_r1.report.findings import Setting, claims
from perception_r1.report.pictures import cut, element, picture, scale

STYLE = Path(__file__).with_name("page.css")
SVG = "http://www.w3.org/2000/svg"


def of_contrasts(contrasts: Sequence[Contrast]) -> dict[str, tuple[str, Markup]]:
    """The drawings of a comparison by name, each with what it shows: those that there is something for."""
    found: dict[str, tuple[str, Markup]] = {}
    for outcome, rows in claims(contrasts).items():
        says = f"Differences in {ENDPOINTS[outcome]} (second less first) with their intervals"
        found[f"forest {ENDPOINTS[outcome]}"] = (says, forest(rows))
    if seeds := main_rows(contrasts):
        found["mosaic"] = (f"The paired table of seed {seeds[0].seed}: {_who(seeds[0])}", mosaic(seeds[0]))
        found["power"] = ("The chance to find a true difference, by the number of items", power_curve(seeds[0]))
    return found


def main_rows(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The seeds of the contrast that the answer is about: first of the primary endpoint, arms before others."""
    told = [row for row in contrasts if row.seed is not None and row.n and row.claimed]
    told = [row for row in told if row.standing == "primary"] or told
    told = [row for row in told if row.kind == "arm against arm"] or told
    return [row for row in told if _sides(row) == _sides(told[0])]


def _sides(row: Contrast) -> tuple[str, ...]:
    return row.benchmark, row.first, row.first_condition, row.second, row.condition


def alone(drawn: Markup) -> str:
    """A drawing as a file of its own, with the page's colours and a rim."""
    wide, high = re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawn)[0]
    framed = f'viewBox="-12 -12 {int(wide) + 24} {int(high) + 24}"'
    text = str(drawn).replace(f'viewBox="0 0 {wide} {high}"', framed, 1)
    text = text.replace("<svg", f'<svg xmlns="{SVG}" style="background: var(--paper)"', 1)
    return text.removesuffix("</svg>") + f"<style>{STYLE.read_text()}</style></svg>"


# Differences with their intervals, over benchmarks, contrasts and seeds

NAMES, PLOT, TEXT, LINE, HEAD = 250, 330, 190, 22, 10


def forest(rows: Sequence[Contrast]) -> Markup:
    """A row a seed with its interval, a diamond for the mean of the seeds, on one scale with a line at 0."""
    ends = scale(rows)
    drawn, y = [], HEAD + 12.0
    for group in _groups(rows):
        drawn.append(element("text", _title(group[0], rows), x=0, y=y + 4, class_="label strong"))
        for row in group:
            y += LINE
            drawn += _forest_row(row, y, ends)
        y += LINE + 10
    floor = y - LINE
    axis = [_axis_line(value, ends, floor) for value in _ticks(*ends)]
    names = element("text", "points, second less first", x=NAMES, y=floor + 36, class_="tick")
    says = "; ".join(f"{_who(row)} {signed(row.difference or 0.0)}" for row in rows if row.seed is None)
    return picture(NAMES + PLOT + TEXT, int(floor) + 44, says, *axis, *drawn, names, class_="picture forest")


def _groups(rows: Sequence[Contrast]) -> Iterator[list[Contrast]]:
    for sides in dict.fromkeys(_sides(row) for row in rows):
        yield [row for row in rows if _sides(row) == sides and row.difference is not None]


def _who(row: Contrast) -> str:
    """The two sides, with what was done to the picture where that is what differs."""
    if row.condition == row.first_condition:
        return f"{cut(row.first)} → {cut(row.second)}"
    return f"{cut(row.second)}: {row.first_condition} → {row.condition}"


def _title(row: Contrast, rows: Sequence[Contrast]) -> str:
    several = len({(each.benchmark, each.condition) for each in rows}) > 1
    return f"{Setting(row.benchmark, row.condition)}: {_who(row)}" if several else _who(row)


def _forest_row(row: Contrast, y: float, ends: tuple[float, float]) -> Iterator[Markup]:
    middle = row.difference or 0.0
    label = "all seeds" if row.seed is None else f"seed {row.seed}"
    yield element("text", label, x=14, y=y + 4, class_="label strong" if row.seed is None else "label")
    reach = ""
    if row.low is not None and row.high is not None:
        reach = f" ({interval(row.low, row.high)})"
        yield element("line", x1=_across(row.low, ends), x2=_across(row.high, ends), y1=y, y2=y, class_="reach")
    yield _dot(_across(middle, ends), y, row.seed is None)
    yield element("text", f"{signed(middle)}{reach}", x=NAMES + PLOT + 14, y=y + 4, class_="label")


def _dot(x: float, y: float, diamond: bool) -> Markup:
    if diamond:
        shape = f"M{x - 7:.1f} {y:.1f}L{x:.1f} {y - 6:.1f}L{x + 7:.1f} {y:.1f}L{x:.1f} {y + 6:.1f}Z"
        return element("path", d=shape, class_="point")
    return element("circle", cx=x, cy=y, r=3.4, class_="point")


def _across(value: float, ends: tuple[float, float]) -> float:
    return NAMES + PLOT * (value - ends[0]) / (ends[1] - ends[0])


def _axis_line(value: float, ends: tuple[float, float], floor: float) -> Markup:
    x = _across(value, ends)
    line = element("line", x1=x, x2=x, y1=HEAD, y2=floor, class_="zero" if abs(value) < 1e-9 else "grid")
    return line + element("text", signed(value).removesuffix(".0"), x=x, y=floor + 18, class_="tick middle")


def _ticks(low: float, high: float) -> list[float]:
    """Round values between the ends, 0 among them, at most nine."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
    step = next(step for step in steps if (high - low) / step <= 8 or step == 1.0)
    return [i * step for i in range(int(-(-low // step)), int(high // step) + 1)]


# The paired table

SIDE, GAP, NOTES = 230, 3, 200


def mosaic(row: Contrast) -> Markup:
    """The paired table with areas as large as its counts; only the two coloured cells say which model is better."""
    a, b, c, d = (count or 0 for count in (row.a, row.b, row.c, row.d))
    n = a + b + c + d or 1
    left = SIDE * (a + b) / n
    cells = [
        *_column(0.0, left, ((a, "both right", "same"), (b, f"only {cut(row.first)}", "first"))),
        *_column(left, SIDE - left, ((c, f"only {cut(row.second)}", "second"), (d, "neither", "none"))),
    ]
    right = element("text", f"{cut(row.first)} right {percent((a + b) / n)}", x=0, y=SIDE + 18, class_="tick")
    wrong = element("text", "wrong", x=SIDE, y=SIDE + 18, class_="tick end")
    says = f"both right {a}, only {row.first} {b}, only {row.second} {c}, neither {d}"
    return picture(SIDE + NOTES, SIDE + 26, says, *cells, right, wrong, class_="picture mosaic")


def _column(x: float, wide: float, parts: Sequence[tuple[int, str, str]]) -> Iterator[Markup]:
    """The cells of one outcome of the first model, from the top, and their names beside the picture."""
    whole, y = sum(count for count, _, _ in parts) or 1, 0.0
    for count, name, kind in parts:
        high = SIDE * count / whole
        if count:
            shape = {"width": max(1.0, wide - GAP), "height": max(1.0, high - GAP)}
            yield element("rect", element("title", f"{name}: {count:,}"), x=x, y=y, class_=f"cell {kind}", **shape)
            if wide > 44 and high > 18:
                yield element("text", f"{count:,}", x=x + (wide - GAP) / 2, y=y + high / 2 + 3, class_="count middle")
        line = {"same": 0, "first": 1, "second": 2, "none": 3}[kind]
        yield element("rect", x=SIDE + 12, y=8 + 24 * line, width=12, height=12, class_=f"cell {kind}")
        yield element("text", f"{name}: {count:,}", x=SIDE + 30, y=18 + 24 * line, class_="label")
        y += high


# What a study of n items finds

ROOM, TALL, LEFT, BOTTOM = 560, 240, 46, 34
POINTS = 36


def power_curve(row: Contrast) -> Markup:
    """The mid-p test's power for the stated difference, half and twice it, at as many discordant pairs as were seen."""
    differ = ((row.b or 0) + (row.c or 0)) / row.n
    most = min(max(2 * row.n, min(row.needed or 0, 20 * row.n), 40), MOST_PAIRS)
    drawn = [*_power_grid(most)]
    for effect, kind in ((row.effect / 2, "half"), (row.effect, "stated"), (2 * row.effect, "twice")):
        if effect < 1:
            drawn += _power_line(effect, max(differ, effect), most, row, kind)
    x = _along(row.n, most)
    here = element("line", x1=x, x2=x, y1=10, y2=TALL - BOTTOM, class_="zero")
    drawn += [here, element("text", f"this study, n = {row.n:,}", x=x + 6, y=TALL - BOTTOM - 8, class_="tick")]
    says = f"power {row.power or 0.0:.2f} at {row.n} items for a difference of {100 * row.effect:g} points"
    return picture(ROOM + 90, TALL, says, *drawn, class_="picture power")


def _power_line(effect: float, differ: float, most: int, row: Contrast, kind: str) -> Iterator[Markup]:
    """Items that share a group tell as much as fewer do that share none."""
    worth, split = max(1.0, row.design_effect or 1.0), ((differ - effect) / 2, (differ + effect) / 2)
    counts = sorted({max(1, round(most * i / POINTS)) for i in range(1, POINTS + 1)})
    found = [(n, mcnemar_power(max(1, round(n / worth)), *split, row.alpha).midp_test) for n in counts]
    path = "M" + "L".join(f"{_along(n, most):.1f} {_up(power):.1f}" for n, power in found)
    yield element("path", d=path, class_=f"curve {kind}")
    yield element("text", f"{100 * effect:g} points", x=ROOM + 8, y=_up(found[-1][1]) + 4, class_="tick")


def _power_grid(most: int) -> Iterator[Markup]:
    for share in (0.0, 0.5, 0.8, 1.0):
        y = _up(share)
        yield element("line", x1=LEFT, x2=ROOM, y1=y, y2=y, class_="grid")
        yield element("text", f"{100 * share:.0f} %", x=LEFT - 8, y=y + 4, class_="tick end")
    digits = 10 ** (len(str(most)) - 1)
    step = next(step for step in (digits // 5, digits // 2, digits, 2 * digits) if step and most / step <= 7)
    for count in range(0, most + 1, step):
        yield element("text", f"{count:,}", x=_along(count, most), y=TALL - BOTTOM + 18, class_="tick middle")
    yield element("text", "items", x=ROOM + 8, y=TALL - BOTTOM + 18, class_="tick")


def _along(count: float, most: int) -> float:
    return LEFT + (ROOM - LEFT) * count / most


def _up(power: float) -> float:
    return TALL - BOTTOM - (TALL - BOTTOM - 10) * power
