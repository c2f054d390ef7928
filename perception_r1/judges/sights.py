"""What is seen without measuring: colours, counts, places and comparisons, as statements that the matcher understands.

    "Bar A is red."   "The chart has five bars."   "A is to the left of B."   "Bar C is the tallest."

All of it is for text in plain notation (`notation.plain`). Each statement has a key (what it is about) and a value, so
that another value for the same key contradicts it. Only what has one value is here: a bar has one colour and a picture
one leftmost bar, but "the red bar" may be one of two.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from perception_r1.judges.harmless import tells_another
from perception_r1.judges.notation import Value

Key = tuple[str, ...]
Said = tuple[Key, Value, bool]  # what about, which value, affirmed or denied

_BAR = r"(?:(?:the )?(?:bar|column) (?:labell?ed )?(?P<bar{n}>[A-Za-z])\b|(?P<bare{n}>[A-Z])\b)"
_POINT = r"(?:the )?(?:point|vertex) (?P<point{n}>[A-Z])\b"
_SEGMENT = (
    r"(?:the )?(?:(?:line segment|segment|side|chord|line|leg|edge|base|diameter|radius) )?(?P<segment{n}>[A-Z]{{2}})\b"
)
_ANGLE = r"(?:the )?angle (?P<angle{n}>[A-Z]{{3}}|[0-9]{{1,2}})\b"
_IS = r" is(?P<not> not)? "
_WHERE = r"(?: in (?:the|this) (?:image|picture|chart|figure|diagram|graph))?"
_ENDS = r"(?=\s*[.!;]?$|, |,$| (?:and|but|while|whereas|so|because|since)\b)"
_COLOURS = (
    "red|green|blue|yellow|orange|purple|pink|brown|black|white|gray|grey"  # teal, violet, cyan: a matter of opinion
)
_NOUNS = "bar|column|circle|triangle|square|rectangle|line|segment|point|angle|slice|curve|dot|arrow|label|polygon"
_MORE, _LESS = ("taller", "higher", "longer", "larger", "bigger", "greater"), ("shorter", "lower", "smaller")
_ENDS_OF = (
    "leftmost|rightmost|topmost|bottommost|tallest|highest|shortest|lowest|longest|largest|smallest|widest|narrowest"
)
_COMPARES = re.compile(rf"\b(?:{'|'.join((*_MORE, *_LESS))}|more|less|equal|equals|same|left|right|above|below)\b")
_SAME_END = {"highest": "tallest", "lowest": "shortest"}
_SIDES = {"left of": "left", "right of": "right", "above": "above", "below": "below", "under": "below"}
_TURNED = {"left": "right", "right": "left", "above": "below", "below": "above", "more": "less", "less": "more"}


def _thing(n: int, *kinds: str) -> str:
    return "(?:" + "|".join(kind.replace("{n}", str(n)).replace("{{", "{").replace("}}", "}") for kind in kinds) + ")"


_ONE = _thing(1, _BAR, _POINT, _SEGMENT)
_TWO = _thing(2, _BAR, _POINT, _SEGMENT)
_SIZED = (_thing(1, _BAR, _SEGMENT, _ANGLE), _thing(2, _BAR, _SEGMENT, _ANGLE))


def _name(parts: dict[str, str | None], n: int) -> str:
    """The thing with its kind; AB is BA, and a bare letter is a bar."""
    for kind in ("bar", "bare", "point", "segment", "angle"):
        if name := parts.get(f"{kind}{n}"):
            return f"{'bar' if kind == 'bare' else kind} {min(name.upper(), name.upper()[::-1])}"
    return ""


def _pair(sort: str, parts: dict[str, str | None], value: str) -> tuple[Key, Value]:
    """A relation of two things in the order of their names: A left of B is B right of A."""
    one, two = _name(parts, 1), _name(parts, 2)
    return ((sort, one, two), _word(value)) if one < two else ((sort, two, one), _word(_TURNED[value]))


def _word(value: str) -> Value:
    return Fraction(0), value


def _coloured(parts: dict[str, str | None]) -> tuple[Key, Value]:
    return ("colour", _name(parts, 1)), _word((parts["colour"] or "").replace("grey", "gray"))


def _counted(parts: dict[str, str | None]) -> tuple[Key, Value]:
    return ("count", parts["noun"] or ""), (Fraction(parts["count"] or 0), "")


def _placed(parts: dict[str, str | None]) -> tuple[Key, Value]:
    side = _SIDES[parts["side"] or ""]
    return _pair("side" if side in ("left", "right") else "level", parts, side)


def _compared(parts: dict[str, str | None]) -> tuple[Key, Value]:
    return _pair("size", parts, "more" if parts["size"] in _MORE else "less")


def _extreme(parts: dict[str, str | None]) -> tuple[Key, Value]:
    kind, _, name = _name(parts, 1).partition(" ")
    end = parts["end"] or ""
    return ("end", kind, _SAME_END.get(end, end)), _word(name)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[dict[str, str | None]], tuple[Key, Value]]], ...] = tuple(
    (re.compile(f"{pattern}{_WHERE}{_ENDS}"), made)
    for pattern, made in (
        (rf"{_ONE}{_IS}(?:colou?red )?(?P<colour>{_COLOURS})", _coloured),
        (
            r"(?:there (?:are|is)(?P<not> not)?|the (?:image|picture|chart|figure|diagram|graph) (?:has|shows"
            rf"|contains)) (?:exactly )?(?P<count>[0-9]{{1,4}}) (?P<noun>{_NOUNS})s?",
            _counted,
        ),
        (rf"{_ONE}{_IS}(?:directly )?(?:to the )?(?P<side>left of|right of|above|below|under) {_TWO}", _placed),
        (rf"{_SIZED[0]}{_IS}(?P<size>{'|'.join(_MORE + _LESS)}) than {_SIZED[1]}", _compared),
        (rf"{_ONE}{_IS}the (?P<end>{_ENDS_OF})(?: (?:bar|column|segment|side|line|point))?(?: of all)?", _extreme),
        (rf"the (?P<end>{_ENDS_OF})(?: bar| column)?(?P<not>(?!))? is {_thing(1, _BAR)}", _extreme),
    )
)


def sight(text: str, start: int) -> tuple[re.Match[str], Said] | None:
    """The statement that begins there, with what matched; None where none is understood or both things are one."""
    for form, made in _FORMS:
        if found := form.match(text, start):
            parts = found.groupdict()
            key, value = made(parts)
            return None if len(key) == 3 and key[1] == key[2] else (found, (key, value, not parts["not"]))
    return None


def mentions(key: Key, text: str) -> bool | None:
    """Whether text that was not understood may speak of the same thing; None where the key is not of this file."""
    if key[0] == "count":
        return re.search(rf"\b{key[1]}s?\b", text) is not None or not (
            re.search("[0-9]", text) is None or tells_another(text)
        )
    if key[0] == "end":
        return re.search(rf"\b(?:{key[2]}|{_ENDS_OF})\b", text) is not None
    if key[0] == "colour":
        return _names(key[1], text) and re.search(rf"\b(?:{_COLOURS}|colou?r\w*|not)\b|n't", text) is not None
    if key[0] in ("side", "level", "size"):
        named = _names(key[1], text), _names(key[2], text)
        return all(named) or (any(named) and _COMPARES.search(text) is not None)
    return None


def _names(thing: str, text: str) -> bool:
    name = thing.partition(" ")[2]
    return re.search(rf"\b(?:{name}|{name[::-1]})\b|(?i:\b(?:bar|column)s? {name}\b)", text) is not None
