"""Diagram logic forms, as Geometry3K has them in the format of Inter-GPS, said as annotations.

    Equals(LengthOf(Line(A, B)), 2x+3)            AB is 2x+3.                     length
    Equals(MeasureOf(Angle(A, B, C)), 30)         Angle ABC is 30 degrees.        angle
    Perpendicular(Line(C, D), Line(A, B))         CD is perpendicular to AB.      relation
    PointLiesOnLine(D, Line(A, B))                Point D lies on AB.             position
    PointLiesOnCircle(A, Circle(O, radius_0_0))   Point A lies on circle O.       position

Everything in a diagram's logic form was drawn, so that nothing of it is a deduction. A form that is not known here
is said to be so, never guessed at.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from perception_r1.records import FactType

TOKEN = re.compile(r"\s*([(),]|[^(),]+)")
VARIABLE = re.compile(r"radius_\d+_\d+|[a-z]+_\d+")  # a name that the parser made up: nobody can read it
SHAPES = (
    "Triangle", "Quadrilateral", "Parallelogram", "Square", "Rectangle", "Rhombus", "Trapezoid", "Kite", "Polygon",
    "Pentagon", "Hexagon", "Heptagon", "Octagon",
)  # fmt: skip
MOST_BRACKETS = 100
DEGREES = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Form:
    """A predicate with its arguments; a leaf has none."""

    head: str
    parts: tuple["Form", ...] = ()


class UnknownForm(ValueError):
    """A logic form that cannot be said."""


def said(form: str) -> tuple[str, FactType]:
    """The form as a sentence, and what it is about; raises UnknownForm."""
    read = parse(form)
    rule = RULES.get(read.head) or (_shape if read.head in SHAPES else None)
    if rule is None:
        raise UnknownForm(f"{read.head or form!r} is no form that is known here")
    try:
        return rule(read)
    except UnknownForm:
        raise
    except (IndexError, KeyError, ValueError):  # too few parts, or too many
        raise UnknownForm(f"{form!r} has not the parts that {read.head} needs") from None


def parse(text: str) -> Form:
    """The form as a tree; a formula in an argument keeps its own brackets. Raises UnknownForm."""
    if text.count("(") > MOST_BRACKETS:
        raise UnknownForm(f"{text[:40]!r} has more than {MOST_BRACKETS} brackets")
    tokens = [token.strip() for token in TOKEN.findall(text) if token.strip()]
    form, rest = _form(tokens)
    if rest:
        raise UnknownForm(f"{text!r} goes on after its end")
    return form


def _form(tokens: list[str]) -> tuple[Form, list[str]]:
    if not tokens or tokens[0] in "(),":
        return _formula("", tokens)
    head, rest = tokens[0], tokens[1:]
    if rest[:1] != ["("]:
        return Form(head), rest
    if not re.fullmatch(r"[A-Z][A-Za-z]+", head):
        return _formula(head, rest)
    parts: list[Form] = []
    while rest[:1] in (["("], [","]):
        part, rest = _form(rest[1:])
        parts.append(part)
    if rest[:1] != [")"]:
        raise UnknownForm(f"a bracket of {head} is not closed")
    return Form(head, tuple(parts)), rest[1:]


def _formula(start: str, tokens: list[str]) -> tuple[Form, list[str]]:
    """A formula such as 2(x+1): up to the comma or bracket that is not its own."""
    depth, taken = 0, start
    for place, token in enumerate(tokens):
        if depth == 0 and token in "),":
            return Form(taken), tokens[place:]
        depth += {"(": 1, ")": -1}.get(token, 0)
        taken += token
    raise UnknownForm("a formula does not end")


def _name(form: Form) -> str:
    """A thing by its points: Line(A, B) is AB, Angle(A, B, C) is angle ABC."""
    if form.head == "Circle":
        return f"circle {_point(form.parts[0])}"  # its second part is a name for the radius
    letters = "".join(_point(part) for part in form.parts)
    if form.head == "Line":
        return letters if len(form.parts) == 2 else f"line {letters}"
    if form.head in ("Angle", "Arc", "Triangle", "Point", "Sector") or form.head in SHAPES:
        return f"{form.head.lower()} {letters}"
    if not form.parts and form.head:
        return form.head
    raise UnknownForm(f"{form.head} is no thing that is known here")


def _point(form: Form) -> str:
    """Its letter; raises UnknownForm for a point that only the parser has a name for."""
    name = form.parts[0].head if form.head == "Point" and form.parts else form.head
    if VARIABLE.fullmatch(name):
        raise UnknownForm(f"{name} is no name that can be read in a diagram")
    return name


def _equals(form: Form) -> tuple[str, FactType]:
    """ "AB is 5", "Angle ABC is 30 degrees", "AB and CD are equal in length"."""
    first, second = form.parts
    if first.head not in MEASURES:
        first, second = second, first
    noun, kind = MEASURES[first.head]
    thing = _measured(first, noun)
    if second.head in MEASURES:
        return _sentence(f"{thing} and {_measured(second, MEASURES[second.head][0])} are equal"), kind
    if second.parts or VARIABLE.fullmatch(second.head):
        raise UnknownForm(f"{second.head} is no value that can be read in a diagram")
    unit = " degrees" if kind == "angle" and DEGREES.fullmatch(second.head) else ""
    return _sentence(f"{thing} is {second.head}{unit}"), kind


def _measured(form: Form, noun: str) -> str:
    thing = form.parts[0]
    bare = f"angle {thing.head.removeprefix('angle ')}" if noun == "angle" and not thing.parts else _name(thing)
    return f"the {noun} of {bare}" if noun not in ("", "angle") else bare


MEASURES: Mapping[str, tuple[str, FactType]] = {
    "LengthOf": ("", "length"),
    "MeasureOf": ("angle", "angle"),
    "RadiusOf": ("radius", "length"),
    "DiameterOf": ("diameter", "length"),
    "CircumferenceOf": ("circumference", "length"),
    "PerimeterOf": ("perimeter", "length"),
    "AreaOf": ("area", "attribute"),
    "HeightOf": ("height", "length"),
    "BaseOf": ("base", "length"),
}


def _between(words: str, kind: FactType) -> Callable[[Form], tuple[str, FactType]]:
    def rule(form: Form) -> tuple[str, FactType]:
        first, second = form.parts[:2]
        return _sentence(words.format(_point_or_name(first), _point_or_name(second))), kind

    return rule


def _point_or_name(form: Form) -> str:
    return f"point {_point(form)}" if form.head == "Point" or not form.parts else _name(form)


def _intersect(form: Form) -> tuple[str, FactType]:
    first, second, point = form.parts
    return _sentence(f"{_name(first)} and {_name(second)} meet at point {_point(point)}"), "position"


def _shape(form: Form) -> tuple[str, FactType]:
    return _sentence(f"there is a {_name(form)}"), "existence"


def _attribute(word: str) -> Callable[[Form], tuple[str, FactType]]:
    return lambda form: (_sentence(f"{_name(form.parts[0])} is {word}"), "attribute")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


RULES: Mapping[str, Callable[[Form], tuple[str, FactType]]] = {
    "Equals": _equals,
    "Perpendicular": _between("{} is perpendicular to {}", "relation"),
    "Parallel": _between("{} is parallel to {}", "relation"),
    "Congruent": _between("{} is congruent to {}", "relation"),
    "Similar": _between("{} is similar to {}", "relation"),
    "Tangent": _between("{} is tangent to {}", "relation"),
    "Secant": _between("{} is a secant of {}", "relation"),
    "BisectsAngle": _between("{} bisects {}", "relation"),
    "PointLiesOnLine": _between("{} lies on {}", "position"),
    "PointLiesOnCircle": _between("{} lies on {}", "position"),
    "IsMidpointOf": _between("{} is the midpoint of {}", "relation"),
    "IsCentroidOf": _between("{} is the centroid of {}", "relation"),
    "IsIncenterOf": _between("{} is the incenter of {}", "relation"),
    "IsRadiusOf": _between("{} is a radius of {}", "relation"),
    "IsDiameterOf": _between("{} is a diameter of {}", "relation"),
    "IsChordOf": _between("{} is a chord of {}", "relation"),
    "IsMidsegmentOf": _between("{} is a midsegment of {}", "relation"),
    "IsMedianOf": _between("{} is a median of {}", "relation"),
    "IsAltitudeOf": _between("{} is an altitude of {}", "relation"),
    "IsPerpendicularBisectorOf": _between("{} is the perpendicular bisector of {}", "relation"),
    "InscribedIn": _between("{} is inscribed in {}", "relation"),
    "CircumscribedTo": _between("{} is circumscribed about {}", "relation"),
    "IntersectAt": _intersect,
    "Equilateral": _attribute("equilateral"),
    "Isosceles": _attribute("isosceles"),
    "Right": _attribute("right-angled"),
    "Regular": _attribute("regular"),
    "Shaded": _attribute("shaded"),
}
