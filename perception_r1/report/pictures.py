"""The drawings, as inline SVG: no script, every text escaped, colours by class so that the style sheet decides."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from perception_r1.compare.contrast import Contrast
from perception_r1.compare.words import percent
from perception_r1.report.findings import Rollouts, pairs, seed_rows

COLOURS = 6  # that the style sheet knows; then they come again
LONGEST = 16  # letters of an arm's name beside a line


def element(tag: str, *inside: Markup | str, **attributes: str | float) -> Markup:
    """An SVG element; texts and values are escaped, and `stroke_width` is written stroke-width."""
    said = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _number(value))
        for name, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), said, Markup("").join(inside))


def picture(width: int, height: int, says: str, *inside: Markup, class_: str = "picture") -> Markup:
    """A drawing that fills its place; `says` is for those who cannot see it."""
    return element("svg", *inside, viewBox=f"0 0 {width} {height}", role="img", aria_label=says, class_=class_)


def arm_class(arms: Sequence[str], arm: str) -> str:
    """The class that colours an arm."""
    return f"arm{arms.index(arm) % COLOURS}"


def cut(name: str, longest: int = LONGEST) -> str:
    """The name, or its beginning."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


# Before and after

WIDE, HIGH, LEFT, RIGHT, TOP, FLOOR = 400, 290, 74, 268, 16, 250


def slopes(contrasts: Sequence[Contrast], arms: Sequence[str]) -> Markup:
    """Before and after training: a thin line a seed, a thick one for the mean; the scale is always 0 to 100 %."""
    drawn = [(group[0].second, seed_rows(group)) for group in pairs(contrasts)]
    lines = [_slope(arm, found, arm_class(arms, arm)) for arm, found in drawn if found]
    ends = {arm: _mean([row.second_rate or 0.0 for row in found]) for arm, found in drawn if found}
    says = "; ".join(f"{arm}: {percent(rate)} after training" for arm, rate in ends.items())
    return picture(WIDE, HIGH, says, *_grid(), *lines, *_labels(ends, arms))


def _grid() -> list[Markup]:
    drawn = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _height(share)
        drawn.append(element("line", x1=LEFT - 14, x2=RIGHT + 14, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", f"{share:.0%}".replace("%", " %"), x=LEFT - 24, y=y + 4, class_="tick end"))
    for x, name in ((LEFT, "before"), (RIGHT, "after")):
        drawn.append(element("text", name, x=x, y=FLOOR + 26, class_="tick middle"))
    return drawn


def _slope(arm: str, found: Sequence[Contrast], colour: str) -> Markup:
    ends = [(row.first_rate or 0.0, row.second_rate or 0.0) for row in found]
    thin = [_line(before, after, "seed") for before, after in ends]
    dots = [
        element("circle", cx=x, cy=_height(rate), r=2.6, class_=kind)
        for pair in ends
        for x, rate, kind in zip((LEFT, RIGHT), pair, ("dot before", "dot"), strict=True)
    ]
    thick = _line(_mean([before for before, _ in ends]), _mean([after for _, after in ends]), "mean")
    return element("g", element("title", arm), *(thin if len(ends) > 1 else []), thick, *dots, class_=colour)


def _line(before: float, after: float, class_: str) -> Markup:
    return element("line", x1=LEFT, x2=RIGHT, y1=_height(before), y2=_height(after), class_=class_)


def _labels(ends: Mapping[str, float], arms: Sequence[str]) -> list[Markup]:
    """The arms' names beside their lines, moved apart where they would meet."""
    order = sorted(ends, key=lambda arm: ends[arm], reverse=True)
    heights = _apart([_height(ends[arm]) for arm in order], 17, TOP, FLOOR)
    return [
        element("text", cut(arm), x=RIGHT + 20, y=y + 4, class_=f"name {arm_class(arms, arm)}")
        for arm, y in zip(order, heights, strict=True)
    ]


def _apart(heights: Sequence[float], least: float, top: float, floor: float) -> list[float]:
    """The heights, which go down the picture, at least so far apart, and above the floor."""
    placed: list[float] = []
    for y in heights:
        placed.append(max(y, placed[-1] + least if placed else top))
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], floor - least * (len(placed) - 1 - i))
    return placed


def _height(share: float) -> float:
    return FLOOR - share * (FLOOR - TOP)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# Differences with their intervals

STRIP, THICK = 180, 22


def scale(contrasts: Sequence[Contrast]) -> tuple[float, float]:
    """The ends of a common scale for the intervals of several rows; 0 is always on it."""
    known = [row for row in contrasts if row.difference is not None]
    ends = [0.0] + [x for row in known for x in (row.low, row.high, row.difference) if x is not None]
    room = 0.04 * (max(ends) - min(ends)) or 0.05
    return min(ends) - room, max(ends) + room


def strip(row: Contrast, ends: tuple[float, float]) -> Markup:
    """A row's difference and interval on a common scale with a line at 0."""
    if row.difference is None:
        return Markup("")

    def x(value: float) -> float:
        return STRIP * (value - ends[0]) / (ends[1] - ends[0])

    y = THICK / 2
    drawn = [element("line", x1=x(0), x2=x(0), y1=0, y2=THICK, class_="zero")]
    if row.low is not None and row.high is not None:
        drawn.append(element("line", x1=x(row.low), x2=x(row.high), y1=y, y2=y, class_="reach"))
    drawn.append(_mark(x(row.difference), y, row.seed is None))
    return picture(STRIP, THICK, "", *drawn, class_="strip")


def _mark(x: float, y: float, diamond: bool) -> Markup:
    if diamond:
        return element("path", d=f"M{x - 6:.1f} {y:.1f}L{x:.1f} {y - 5:.1f}L{x + 6:.1f} {y:.1f}L{x:.1f} {y + 5:.1f}Z")
    return element("circle", cx=x, cy=y, r=3.2)


# Learning curves

PANEL, DEEP, MARGIN = 400, 180, 42


def curves(rollouts: Rollouts, looks: Rollouts, term: str, arms: Sequence[str]) -> Markup:
    """A term over the steps of training: a line an arm, smoothed, over the faint line of what was measured.

    What was held out is a dotted line with a mark at each look.
    """
    series, held = _known(rollouts, term), _known(looks, term)
    everything = [point for points in (*series.values(), *held.values()) for point in points]
    low, high = _range([value for _, value in everything])
    last = max(step for step, _ in everything)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = MARGIN + (PANEL - MARGIN - 8) * point[0] / (last or 1)
        return x, DEEP - 24 - (DEEP - 36) * (point[1] - low) / (high - low)

    drawn = _axes(low, high, last)
    for arm, points in series.items():
        faint = element("path", d=_path([place(point) for point in points]), class_="faint")
        clear = element("path", d=_path([place(point) for point in _smooth(points)]), class_="mean")
        drawn.append(element("g", element("title", arm), faint, clear, class_=arm_class(arms, arm)))
    for arm, points in held.items():
        marks = [element("circle", cx=x, cy=y, r=2.6, class_="dot") for x, y in map(place, points)]
        line = element("path", d=_path([place(point) for point in points]), class_="heldout")
        drawn.append(element("g", element("title", f"{arm}, held out"), line, *marks, class_=arm_class(arms, arm)))
    return picture(PANEL, DEEP, f"{term} over {last:g} steps", *drawn)


def terms(*rollouts: Rollouts) -> list[str]:
    """The terms of which something is known, in the order in which they come."""
    told = [steps for of_arms in rollouts for steps in of_arms.values()]
    found = dict.fromkeys(term for steps in told for step in steps for term in step if term != "step")
    return [term for term in found if any(_series(steps, term) for steps in told)]


def _known(rollouts: Rollouts, term: str) -> dict[str, list[tuple[float, float]]]:
    """Of each arm that knows the term its values with their steps."""
    series = {arm: _series(steps, term) for arm, steps in rollouts.items()}
    return {arm: points for arm, points in series.items() if points}


def _series(steps: Sequence[Mapping[str, float | None]], term: str) -> list[tuple[float, float]]:
    """The known values of a term with their steps."""
    told = [(step.get("step", number), step.get(term)) for number, step in enumerate(steps, 1)]
    return [(step or 0.0, value) for step, value in told if value is not None and math.isfinite(value)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """0 to 1 where the values are shares; else round numbers around them and 0."""
    low, high = min(0.0, *values), max(0.0, *values)
    if low == 0.0 and high <= 1.0:
        return 0.0, 1.0
    unit = 10.0 ** math.floor(math.log10(high - low)) / 5
    return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


def _axes(low: float, high: float, last: float) -> list[Markup]:
    top, floor = 12, DEEP - 24
    drawn = []
    for value, y in ((high, top), (low, floor)):
        drawn.append(element("line", x1=MARGIN, x2=PANEL - 8, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", f"{value:g}".replace("-", "−"), x=MARGIN - 7, y=y + 4, class_="tick end"))
    drawn.append(element("text", "step", x=MARGIN, y=DEEP - 6, class_="tick"))
    drawn.append(element("text", f"{last:g}", x=PANEL - 8, y=DEEP - 6, class_="tick end"))
    return drawn


def _smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The mean of each point and its neighbours, a twentieth of the steps to either side."""
    reach = len(points) // 20
    near = [points[max(0, i - reach) : i + reach + 1] for i in range(len(points))]
    return [(step, _mean([value for _, value in part])) for (step, _), part in zip(points, near, strict=True)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
