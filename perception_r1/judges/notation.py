"""One way to write: LaTeX, Markdown, Unicode and number words as the plain text that the matcher reads."""

import math
import re
import unicodedata
from fractions import Fraction

_SIGNS = {
    "∠": " angle ", "∡": " angle ", "△": " triangle ", "°": " degrees ", "º": " degrees ", "⊥": " perpendicular to ",
    "∥": " parallel to ", "≅": " congruent to ", "≠": " is not ", "≈": " about ", "×": "*", "·": "*", "⋅": "*",
    "−": "-", "–": "-", "—": ", ", "“": '"', "”": '"', "«": '"', "»": '"', "„": '"', "‘": "'", "’": "'",
    "…": "... ", "π": " pi ", "√": " sqrt", "。": ". ", "，": ", ", "：": ": ", "；": "; ", "•": "- ", "？": "? ",
}  # fmt: skip

_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")
_NO_NAME = re.compile(r"\b[A-Za-z]*[a-z][A-Za-z]*\b")

_REWRITTEN = [  # signs of which one has to stand there for the pattern to match, the pattern, what is put in its place
    (signs, re.compile(pattern), put)
    for signs, pattern, put in (
        ("\\", r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|overline|operatorname|boldsymbol)\s*\{([^{}]*)\}", r"\1"),
        ("\\", r"\\[dt]?frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}", r" \1/\2"),
        ("\\", r"\\sqrt\s*\{\s*([0-9]+)\s*\}", r" sqrt(\1) "),
        ("^\\", r"\^\s*\{?\s*\\circ\s*\}?|\\degree\b", " degrees "),
        ("\\", r"\\(?:measured)?angle(?![a-z])", " angle "),
        ("\\", r"\\triangle(?![a-z])", " triangle "),
        ("\\", r"\\perp(?![a-z])", " perpendicular to "),
        ("\\", r"\\parallel(?![a-z])", " parallel to "),
        ("\\", r"\\cong(?![a-z])", " congruent to "),
        ("\\!", r"\\neq?(?![a-z])|!=", " is not "),
        ("\\", r"\\approx(?![a-z])", " about "),
        ("\\", r"\\(?:times|cdot)(?![a-z])", "*"),
        ("\\", r"\\pi(?![a-z])", " pi "),
        ("\\", r"\\(?:left|right)(?![a-z])", ""),
        ("\\~$", r"\\[,;:! ()\[\]]|\\q?quad(?![a-z])|~(?!~)|\$", " "),
        ("-*+.)#", r"(?m)^\s*(?:[-*+]|[0-9]+[.)]|#+)\s+", ""),  # bullets, numbers of a list, headings
        ("*_`", r"\*\*|__|`", ""),
        ("", r"[^\S\n]+", " "),
    )
]


def plain(text: str) -> str:
    """The text in plain ASCII as far as that is safe, and in small letters but for names (A, AB, ABC).

    Signs that are not understood stay as they are.
    """
    if not text.isascii():
        text = "".join(_SIGNS.get(sign) or _folded(sign) for sign in text)
    for signs, pattern, put in _REWRITTEN:
        if not signs or any(sign in text for sign in signs):
            text = pattern.sub(put, text)
    text = _NO_NAME.sub(lambda word: word[0].lower(), text)
    return _WORD.sub(lambda word: str(_WORDS.index(word[0])), text)


def _folded(sign: str) -> str:
    """A sign in its compatible form, digits kept apart from their neighbours: 7² must not become 72, nor 7½ 71/2."""
    if sign.isascii():
        return sign
    if unicodedata.category(sign) == "Cf":
        return ""
    folded = unicodedata.normalize("NFKC", sign).replace("\u2044", "/")
    return f" {folded} " if any(part.isdigit() for part in folded) else folded


ROUNDED = 0.02  # of the larger: what may be one value in two roundings
Value = tuple[Fraction, str]  # the rational part and what it is multiplied by: "", "pi", "sqrt(3)"

_INTEGER = r"(?>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"{_INTEGER}(?>(?:\.[0-9]+)?)"
VALUE = (
    rf"(?P<number>-?(?:{_DECIMAL}(?>(?:\s*/\s*[1-9][0-9]*)?)(?>(?:\s*\*?\s*(?:pi\b|sqrt\s*\(?[0-9]+\)?))?)"
    r"|pi\b|sqrt\s*\(?[0-9]+\)?))"
)
_VALUE = re.compile(rf"(-?)({_DECIMAL})?(?:\s*/\s*([0-9]+))?\s*\*?\s*(pi|sqrt\s*\(?[0-9]+\)?)?")


def near(one: Value, two: Value) -> bool:
    """Whether two values may be one that was rounded, or written otherwise: 20/3 and 6.67, 5 sqrt(2) and sqrt(50)."""
    if one[1] == two[1] and (one[1] or all(_is_decimal(number) for number, _ in (one, two))):
        return False
    if not all(re.fullmatch(r"(?:pi|sqrt\([0-9]+\))?", factor) for _, factor in (one, two)):
        return False  # a colour, a name
    sizes = size(one), size(two)
    return abs(sizes[0] - sizes[1]) <= ROUNDED * max(map(abs, sizes))


def _is_decimal(number: Fraction) -> bool:
    """Whether a number has an end in decimals: then it needs no rounding."""
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def size(value: Value) -> float:
    """How large a value is."""
    number, factor = value
    root = re.search(r"[0-9]+", factor)
    return float(number) * (math.sqrt(int(root[0])) if root else math.pi if factor == "pi" else 1.0)


def value(written: str) -> Value:
    """The exact value of what VALUE matches: 7 = 7.0 = 14/2."""
    found = _VALUE.fullmatch(written)
    if not found:
        raise ValueError(f"{written!r} is no number")
    sign, number, divisor, factor = found.groups()
    rational = Fraction((number or "1").replace(",", "")) / int(divisor or 1)
    digits = re.search(r"[0-9]+", factor or "")
    return -rational if sign else rational, f"sqrt({digits[0]})" if digits else factor or ""
