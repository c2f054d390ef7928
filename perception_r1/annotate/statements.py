r"""The normal form of a statement, in which two ways to say one thing are equal.

"The length of \\overline{BA} equals 5 cm."  and  "AB = 5"     are both the quantity (AB,) = 5
"AB \\parallel CD"  and  "AB is parallel to CD."              are both the words AB parallel CD
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from perception_r1.records import FactType

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
SPELLED = re.compile(rf"\b(?:{'|'.join(NUMBERS)})\b", re.IGNORECASE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_CJK = r"\u3040-\u30ff\u4e00-\u9fff"
# Chinese and Japanese are written without spaces: each of their signs is a word
TOKEN = re.compile(rf"-?\d+(?:\.\d+)?|[{_CJK}]|(?:(?![{_CJK}])[^\W\d_])+['′]?|[^\w\s]")
POWERS = str.maketrans({"²": "^2", "³": "^3"})  # NFKC would make 102 of 10²
REWRITES = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"\\(?:overline|text|mathrm|mathbf|textbf|overrightarrow|overleftrightarrow)\s*\{([^{}]*)\}", r" \1 "),
        (
            r"^O (?=[a-zà-ÿ]{3,})(?!O (?:lies|has|and|cuts|meets|divides|bisects)\b)",
            "",
        ),  # the article; O is a centre, too
        (r"\bm\s*(?=∠|\\angle)", ""),  # the measure of
        (r"\\angle|∠", " angle "),
        (r"\\triangle|△|Δ(?=[A-Z])", " triangle "),
        (r"\\parallel|∥|\|\|", " parallel "),
        (r"\\perp|⊥", " perpendicular "),
        (r"\\cong|≅", " congruent "),
        (r"°\s*[CF]\b", ""),
        (r"\^\s*\{?\s*\\circ\s*\}?|°", " degrees "),
        (r"\\[()\[\],;! ]|[$*`_{}]", " "),
        (r"(?<=\d),(?=\d{3}\b)", ""),
        (r"\ba (?=(?!is\b)[a-z]{2,})", ""),  # the article; a side may be called a
        (r"=|≈|→|\b(?:equals|measures|is equal to)\b", " is "),
        (r"\b(?:ist|est|es|é|è|mide|mesure|misura|mede|vaut|beträgt|равен|равна|равно)\b|等于|为|是", " is "),
        (r"\b(?:Winkel|ángulo|angolo|ângulo|угол)\b|角(?=[A-Z\d])", " angle "),
        (r"\b(?:paral+el[oae]?s?|parallèles?|parallele|evenwijdig) (?:a|à|ao|al|alla|zu|aan)\b|平行于?", " parallel "),
        (
            r"\b(?:perpendic[ou]l?ar\w*|perpendiculaires?|senkrecht) (?:a|à|al|alla|zu|auf|to)\b|垂直于?",
            " perpendicular ",
        ),
        (r"\b(?:has|with) (?:an? |the )?(\w+) (?:of )?(?=-?\d)", r"\1 is "),
        (r"(?<=\d)\s*(?:%|Ω|€|(?:percent|per cent|Prozent|pour cent|por ciento)\b)", ""),
        (r"(?<=\d)\s*(?:cm|mm|km|m|ft|feet|in|inch(?:es)?|units?|degrees?)\b(?: (?:tall|long|high|wide)\b)?", ""),
    )
)
# they carry no meaning between a thing and what is said of it; a capital A is a name
EMPTY = {"the", "The", "an", "An", "of", "is", "are", "to", "has", "with", "length", "measure", "segment", "line"}
EMPTY |= {"side", "that", "and", "there"}
EMPTY |= {"o", "os", "el", "la", "le", "les", "der", "die", "das", "il", "lo", "do", "da", "de", "del", "du", "des"}
MUTUAL = {"parallel", "perpendicular", "congruent", "similar", "equal", "tangent"}  # the same both ways
COUNTING = {"are", "has", "have", "contains", "shows"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A thing and its number."""

    subject: tuple[str, ...]  # its words in the order of the alphabet
    number: float


@dataclass(frozen=True, slots=True)
class Words:
    """A statement that gives no number to a thing."""

    content: tuple[str, ...]


Key = Quantity | Words


@lru_cache(maxsize=16_384)
def key_of(text: str) -> Key:
    """What a statement says, whatever its wording."""
    words = _words(text)
    places = [place for place, word in enumerate(words) if NUMBER.fullmatch(word)]
    subject = content([word for place, word in enumerate(words) if place not in places[-1:]])
    if subject and _gives_a_number(words, places):
        return Quantity(tuple(sorted(subject)), float(words[places[-1]]))
    said = content(words)
    return Words(tuple(sorted(said)) if MUTUAL & set(said) else said)


def content(words: list[str]) -> tuple[str, ...]:
    """The words that carry meaning."""
    return tuple(word for word in words if word not in EMPTY and re.match(r"-?[\w]|[<>+*/-]", word))


@lru_cache(maxsize=16_384)  # what many trajectories say in the same words is taken apart once
def words_of(text: str) -> tuple[str, ...]:
    """The meaningful words of any text, in their order."""
    return content(_words(text))


def _gives_a_number(words: list[str], places: list[int]) -> bool:
    """ "THING is NUMBER", or "has NUMBER THINGS"; "AB is 2 x" and "AB is more than 5" give none."""
    after = {place: words[place - 1] for place in places if place}
    end = len(words) - 1 - (words[-1:] == ["."])
    if [place for place, before in after.items() if before == "is"] == [end]:
        return True
    return len(places) == 1 and set(after.values()) <= COUNTING and bool(after)


def _words(text: str) -> list[str]:
    """The words of a text with one spelling for each sign, number and name."""
    text = SPELLED.sub(
        lambda spelled: str(NUMBERS.index(spelled[0].lower())), unicodedata.normalize("NFKC", text.translate(POWERS))
    )
    for pattern, to in REWRITES:
        text = pattern.sub(to, text)
    found = TOKEN.findall(text)
    return [_word(word, found[place - 1] if place else "") for place, word in enumerate(found)]


def _word(word: str, before: str) -> str:
    """One word; AB and BA are one segment, ABC and CBA one angle, and a triangle is its three corners."""
    if not word.isupper() or len(word) > 3:
        return word if word in EMPTY else word.lower()
    if len(word) == 2 or before.lower() == "triangle":
        return "".join(sorted(word))
    return min(word, word[::-1]) if before.lower() == "angle" else word


KINDS: tuple[tuple[FactType, re.Pattern[str]], ...] = (
    ("angle", re.compile(r"angle|∠|°|degrees", re.IGNORECASE)),
    ("relation", re.compile(r"parallel|perpendicular|congruent|similar|equal|tangent|bisect|∥|⊥|≅", re.IGNORECASE)),
    ("position", re.compile(r"\blies?\b|\b(?:on|above|below|inside|outside|between|next to|meet)\b", re.IGNORECASE)),
    ("label", re.compile(r"label|marked|denoted", re.IGNORECASE)),
    ("text", re.compile(r"\breads?\b|title|caption|legend", re.IGNORECASE)),
    ("count", re.compile(r"\bthere (?:are|is) (?:\d|two|three|four|five|six)", re.IGNORECASE)),
)


def type_of(text: str) -> FactType:
    """The type of a statement that comes without one."""
    for kind, sign in KINDS:
        if sign.search(text):
            return kind
    return "length" if isinstance(key_of(text), Quantity) else "other"
