r"""Units at the end of an answer: `24 cm^2`, `35 \text{ apples}`, `50\%`, `90^\circ`, `$1,450`, `2.5 million`."""

import re
from fractions import Fraction

from perception_r1.evaluate.exact import Unreadable

# one spelling a unit; the empty one is a unit that says nothing
_SPELLINGS = {
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard yards",
    "mi": "mi mile miles",
    "mg": "mg milligram milligrams",
    "g": "g gram grams",
    "kg": "kg kilogram kilograms",
    "lb": "lb lbs pound pounds",
    "ml": "ml mL milliliter milliliters millilitre millilitres",
    "L": "l L liter liters litre litres",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "year": "year years",
    "°": r"\degree degree degrees deg",
    "rad": "rad radian radians",
    "%": "% percent",
    "$": "dollar dollars usd USD",
    "€": "euro euros eur EUR",
    "£": "gbp GBP",
    "N": "N newton newtons",
    "J": "J joule joules",
    "W": "W watt watts",
    "V": "V volt volts",
    "Hz": "Hz hertz",
    "": "unit units",
}
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_ALTERNATIVES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_UNIT = rf"(?:(?:square|sq|cubic|cu)\.? )?(?:{_ALTERNATIVES})(?: ?\^ ?\{{? ?[23] ?\}}?| squared| cubed)?"
_TAIL = re.compile(rf"(?<![a-zA-Z\\])({_UNIT}(?: ?(?:/|per) ?{_UNIT})?)$")
_LABEL = re.compile(r"«([^«»]*)»( ?\^ ?\{? ?[23] ?\}?)?$")
_CURRENCY = re.compile(r"^(-?) ?\\?([$€£]) ?(?=[\d.])")
_SCALE = re.compile(r"(?<=[\d ])(hundred|thousand|million|billion|trillion)$")
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
# words that no unit has: they deny or weaken the number, or go on reckoning with it
_NO_UNIT = re.compile(
    r"\b(?:or|and|not|but|n?either|nor|is|are|was|no|wrong|incorrect|false|approx\w*|about|around|roughly|nearly|almost"
    r"|maybe|perhaps|possibly|probably|likely|at|least|most|more|less|fewer|than|over|under|up|between|to|from|minus|plus"
    r"|times(?=.)|divided|squared|cubed|negative|positive|factorial|half|third|dozens?|pi|twice|double"
    r"|hundred\w*|thousand\w*|million\w*|billion\w*|trillion\w*|tenths?|zero|one|two|three|four|five|six|seven|eight|nine"
    r"|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\b|^[a-z]$"
)


def split_unit(text: str) -> tuple[str, Fraction | int, str]:
    """The number's own text, what it is to be multiplied with, and its unit; the empty unit fits every other."""
    text, unit = _without_unit(text)
    text = text.rstrip("«» ")
    scale = _SCALE.search(text)
    if scale:
        return text[: scale.start()].strip(), 10 ** _SCALES[scale[1]], unit
    return text, 1, unit


def _without_unit(text: str) -> tuple[str, str]:
    text = text.strip()
    currency = _CURRENCY.match(text)
    if currency:
        return currency[1] + text[currency.end() :], currency[2]
    label = _LABEL.search(text)
    if label and label.start():
        return text[: label.start()].rstrip(), _labelled(label[1], label[2] or "", text[: label.start()])
    tail = _TAIL.search(text)
    if tail and tail.start() and _stands_apart(text, tail.start()):
        return text[: tail.start()].rstrip(), _uniform(tail[1])
    return text, ""


def _stands_apart(text: str, start: int) -> bool:
    """A single letter is a unit only behind a space: 5m is five times m."""
    spelled = text[start:]
    return len(spelled.rstrip("^{}23 ")) > 1 or spelled[0] == "%" or text[start - 1] == " "


def _labelled(label: str, power: str, number: str) -> str:
    r"""The unit that \text{...} names; one that we do not know is a unit of its own."""
    said = label.strip().rstrip(".")
    if not said or _TAIL.fullmatch(said):
        return _uniform(said + power)
    if _NO_UNIT.search(said if len(said) == 1 else said.casefold()) or re.search(
        r"\d", re.sub(r"\^ ?\{?[23]\}?", "", said)
    ):
        raise Unreadable
    return said.casefold() + power.strip()


def _uniform(unit: str) -> str:
    """One spelling: `square centimetres` and `cm ^ { 2 }` are both cm^2."""
    parts = re.split(r" ?(?:/|\bper\b) ?", unit)
    return "/".join(_uniform_part(part.strip()) for part in parts)


def _uniform_part(part: str) -> str:
    power = (
        "2" if re.search(r"^sq|squared|\^ ?\{? ?2", part) else "3" if re.search(r"^cu|cubed|\^ ?\{? ?3", part) else ""
    )
    name = re.sub(r"^(?:square|sq|cubic|cu)\.? | ?\^ ?\{? ?[23] ?\}?$| squared$| cubed$", "", part)
    known = _UNITS.get(name, name)
    return f"{known}^{power}" if power and known else known
