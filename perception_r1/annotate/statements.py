r"""The normal form of a statement, in which two ways to say one thing are equal.

"The length of \\overline{BA} equals 5 cm."  and  "AB = 5"     are both the quantity (AB,) = 5
"AB \\parallel CD"  and  "AB is parallel to CD."              are both the words AB parallel CD
"""

import re
import unicodedata
from dataclasses import dataclass

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
SPELLED = re.compile(rf"\b(?:{'|'.join(NUMBERS)})\b", re.IGNORECASE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TOKEN = re.compile(r"-?\d+(?:\.\d+)?|[^\W\d_]+['′]?|[^\w\s]")
REWRITES = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (r"\\(?:overline|text|mathrm|mathbf|textbf|overrightarrow|overleftrightarrow)\s*\{([^{}]*)\}", r" \1 "),
        (r"\bm\s*(?=∠|\\angle)", ""),  # the measure of
        (r"\\angle|∠", " angle "),
        (r"\\triangle|△|Δ(?=[A-Z])", " triangle "),
        (r"\\parallel|∥|\|\|", " parallel "),
        (r"\\perp|⊥", " perpendicular "),
        (r"\\cong|≅", " congruent "),
        (r"\^\s*\{?\s*\\circ\s*\}?|°", " degrees "),
        (r"\\[()\[\],;! ]|[$*`_{}]", " "),
        (r"(?<=\d),(?=\d{3}\b)", ""),
        (r"\ba (?=(?!is\b)[a-z]{2,})", ""),  # the article; a side may be called a
        (r"=|\b(?:equals|measures|is equal to)\b", " is "),
        (r"\b(?:has|with) (?:an? |the )?(\w+) (?:of )?(?=-?\d)", r"\1 is "),
        (r"(?<=\d)\s*(?:cm|mm|km|m|ft|feet|in|inch(?:es)?|units?|degrees?)\b(?: (?:tall|long|high|wide)\b)?", ""),
    )
)
# they carry no meaning between a thing and what is said of it; a capital A is a name
EMPTY = {"the", "The", "an", "An", "of", "is", "are", "to", "has", "with", "length", "measure", "segment", "line"}
EMPTY |= {"side", "that", "and"}
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


def key_of(text: str) -> Key:
    """What a statement says, whatever its wording."""
    words = _words(text)
    places = [place for place, word in enumerate(words) if NUMBER.fullmatch(word)]
    subject = content([word for place, word in enumerate(words) if place not in places[-1:]])
    if subject and _gives_a_number(words, places):
        return Quantity(tuple(sorted(subject)), float(words[places[-1]]))
    return Words(content(words))


def content(words: list[str]) -> tuple[str, ...]:
    """The words that carry meaning."""
    return tuple(word for word in words if word not in EMPTY and re.match(r"-?[\w]|[<>+*/-]", word))


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
    text = SPELLED.sub(lambda spelled: str(NUMBERS.index(spelled[0].lower())), unicodedata.normalize("NFKC", text))
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
