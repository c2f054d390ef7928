r"""What a short answer says, exactly: `24 \text{ cm}`, `x = 2\sqrt{221}`, `(3, -4)`, `1,450`, `50\%`.

A small parser of its own, since nothing that a model wrote is ever evaluated: numbers, + - * / ^, \frac, \sqrt, pi,
letters, brackets. Anything else is not read, and is then compared as text.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from perception_r1.evaluate.exact import Exact, Unreadable, rational, root, symbol
from perception_r1.evaluate.notation import LONGEST, uniform
from perception_r1.evaluate.units import split_unit

DEEPEST = 40
MOST_DIGITS = 200
MOST_PARTS = 64
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|(\\[a-zA-Z]+)|(sqrt|pi)(?![a-z])|([a-zA-Z]+)|(\S))")
_THOUSANDS = re.compile(r"(?<![\d.,])(?<![\d.,] )\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?! ?[\d,/])")
_MIXED = re.compile(r"(?<![\d./^}])(\d{1,9}) ?\\frac ?\{ ?(\d{1,9}) ?\} ?\{ ?(\d{1,9}) ?\}")
_MIXED_PLAIN = re.compile(r"(?<![\d./^}])(\d{1,9}) (\d{1,9}) ?/ ?(\d{1,9})(?![\d./])")
_PLAIN = re.compile(  # a name, a sign, and a whole number, a decimal or a fraction: what most answers are
    r"(?:([A-Za-z]) ?= ?)?([-+]?)(?:([0-9]{1,30})(?:\.([0-9]{1,30})| ?/ ?([1-9][0-9]{0,29}))?"
    r"|\\[dtc]?frac ?\{ ?([0-9]{1,30}) ?\} ?\{ ?([1-9][0-9]{0,29}) ?\})"
)
_NAME = re.compile(r"[A-Za-z\\∠△][A-Za-z0-9\\ {}()_'«»]*")
_GREEK = {"alpha", "beta", "gamma", "theta", "phi", "lambda", "mu", "omega", "rho", "sigma"}
_FUNCTIONS = {"sin", "cos", "tan", "cot", "log", "ln", "arcsin", "arccos", "arctan"}

_FUNCTION = re.compile(rf"\\(?:{'|'.join(sorted(_FUNCTIONS))})(?![a-zA-Z])")


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer understood: one number, or several in brackets; a unit and a letter that it was given for, if any."""

    parts: tuple[Exact, ...]
    brackets: str = ""  # "()", "[]", "{}", "(]", ... round several numbers
    unit: str = ""
    name: str = ""


@lru_cache(maxsize=8192)
def read(text: str) -> Reading | None:
    """What the answer says; None if it is not understood."""
    if len(text) > LONGEST:
        return None
    if plain := _PLAIN.fullmatch(text.strip()):
        return _plain(*plain.groups())
    formula = uniform(text)
    if formula.casefold() in NUMBER_WORDS:
        return Reading((rational(NUMBER_WORDS.index(formula.casefold())),))
    try:
        brackets, inside = _unbracketed(formula)
        pieces = split_commas(inside if brackets else _THOUSANDS.sub(lambda n: re.sub("[, ]", "", n[0]), formula))
        if len(pieces) > 1 or brackets:
            return Reading(tuple(_one(piece).parts[0] for piece in pieces[: MOST_PARTS + 1]), brackets)
        return _one(formula if not pieces else pieces[0])
    except Unreadable:
        return None


def _plain(name: str | None, sign: str, whole: str | None, places: str | None, *under: str | None) -> Reading:
    """What `_PLAIN` found, as the parser would read it."""
    bar, top, bottom = under
    if places:
        number = Fraction(int(f"{whole}{places}"), 10 ** len(places))
    else:
        number = Fraction(int(whole or top or 0), int(bar or bottom or 1))
    return Reading((rational(-number if sign == "-" else number),), name=name or "")


def _unbracketed(text: str) -> tuple[str, str]:
    """The brackets round a list of two or more, and what is in them."""
    inside = text.replace(r"\{", "\x01").replace(r"\}", "\x02")
    pair = inside[:1] + inside[-1:]
    if len(inside) < 2 or pair[0] not in "([\x01" or pair[1] not in ")]\x02" or len(split_commas(inside[1:-1])) < 2:
        return "", text
    return pair.replace("\x01", "{").replace("\x02", "}"), inside[1:-1]


def split_commas(text: str) -> list[str]:
    """The pieces between commas that stand in no bracket."""
    pieces, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([{\x01") - (sign in ")]}\x02")
        if sign in ",;" and depth == 0:
            pieces.append(text[start:at].strip())
            start = at + 1
    return [*pieces, text[start:].strip()]


def _one(text: str) -> Reading:
    """One number, with its unit and what it was given for."""
    if re.search(r"\\(?:n?eq|leq|geq|approx|pm)(?![a-zA-Z])|[<>!]=?|==", text):
        raise Unreadable
    *names, said = (side.strip() for side in text.split("="))
    value, unit = _with_unit(said)
    name = ""
    for side in names:
        if _NAME.fullmatch(side) and not name:
            name = side.replace(" ", "")
        elif _with_unit(side)[0] != value:  # "2 + 3 = 5" says one number, "7 = 5" says two
            raise Unreadable
    return Reading((value,), "", unit, name if len(name) == 1 else "")


def _with_unit(text: str) -> tuple[Exact, str]:
    number, scale, unit = (text, 1, "") if _FUNCTION.search(text) else split_unit(text)  # the degree is the sine's
    mixed = _MIXED.sub(_sum_of_mixed, _MIXED_PLAIN.sub(_sum_of_mixed, number))
    value = _Parser(mixed).whole()
    return value if scale == 1 else value * rational(scale), unit


def _sum_of_mixed(found: re.Match[str]) -> str:
    whole, top, bottom = found.groups()
    return f"({whole}+{top}/{bottom})" if int(top) < int(bottom) else found[0]


class _Parser:
    """Reads one formula from left to right; raises Unreadable at what it does not know."""

    def __init__(self, text: str) -> None:
        self.tokens = [token[0].strip() for token in _TOKEN.finditer(text) if token[0].strip()]
        self.at = 0
        self.depth = 0

    def whole(self) -> Exact:
        value = self.sum()
        if self.at < len(self.tokens):
            raise Unreadable
        return value

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self) -> Exact:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable
        value = self.product()
        while self.peek() in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        self.depth -= 1
        return value

    def product(self) -> Exact:
        value = self.signed()
        while True:
            token = self.peek()
            if token == "*":
                self.take()
                value = value * self.signed()
            elif token == "/":
                self.take()
                value = value / self.signed()
            elif token and (token[0].isalpha() or token[0] in "\\(["):
                value = value * self.power()
            else:
                return value

    def signed(self) -> Exact:
        sign = self.take() if self.peek() in ("+", "-") else ""
        value = self.power()
        return -value if sign == "-" else value

    def power(self) -> Exact:
        base = self.atom()
        if self.peek() != "^":
            return base
        self.take()
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable
        value = base ** (self.group() if self.peek() == "{" else self.signed())
        self.depth -= 1
        return value

    def atom(self) -> Exact:
        token = self.take()
        if token in ("(", "[", "{"):
            self.at -= 1
            return self.group()
        if token[:1].isdigit() or token[:1] == ".":
            return _number(token)
        if token in (r"\sqrt", "sqrt"):
            return self.surd()
        if token == r"\frac":
            return self.argument() / self.argument()
        if token in (r"\pi", "pi"):
            return symbol("π")
        return self.letters(token)

    def group(self) -> Exact:
        closing = {"(": ")", "[": "]", "{": "}"}[self.take()]
        value = self.sum()
        if self.take() != closing:
            raise Unreadable
        return value

    def surd(self) -> Exact:
        degree = 2
        if self.peek() == "[":
            self.take()
            token = self.take()
            degree = int(token) if token.isascii() and token.isdigit() and len(token) < 3 else 0
            if self.take() != "]":
                raise Unreadable
        return root(self.group() if self.peek() in ("{", "(") else self.atom(), degree)

    def argument(self) -> Exact:
        r"""One of the two of \frac: a group, or a single digit as in \frac12."""
        if self.peek() == "{":
            return self.group()
        token = self.peek()
        if token.isdigit() and len(token) > 1:
            self.tokens[self.at] = token[1:]
            return _number(token[0])
        return self.atom()

    def letters(self, token: str) -> Exact:
        if token.startswith("\\") and token[1:] in _GREEK | {"degree"}:
            return symbol(token)
        if token.startswith("\\") and token[1:] in _FUNCTIONS:  # not evaluated, but the same of the same is the same
            return symbol(f"{token} {self.angle()}")
        if not token.isascii() or not token.isalpha() or len(token) > 2:
            raise Unreadable  # a word, not a product of letters
        value = rational(1)
        for letter in token[:-1]:
            value = value * symbol(letter)
        return value * symbol(token[-1] + self.subscript())

    def angle(self) -> Exact:
        value = self.group() if self.peek() in ("(", "{") else self.atom()
        return value * self.atom() if self.peek() == r"\degree" else value

    def subscript(self) -> str:
        if self.peek() != "_":
            return ""
        self.take()
        token = self.take()
        if token == "{":
            token = self.take()
            if self.take() != "}":
                raise Unreadable
        if not token.isalnum():
            raise Unreadable
        return f"_{token}"


def _number(token: str) -> Exact:
    if len(token) > MOST_DIGITS or not token.isascii():
        raise Unreadable
    return rational(Fraction(f"0{token}"))
