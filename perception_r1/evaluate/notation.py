r"""One spelling for what LaTeX, Unicode and plain text write in many: `\dfrac{1}{2}`, `½` and `\frac { 1 } { 2 }`."""

import re
from unicodedata import normalize

LONGEST = 400  # characters; what is longer is no answer

FULL_WIDTH = {sign: sign - 0xFEE0 for sign in range(0xFF01, 0xFF5F)}  # Ｂ, ５ and （ as Chinese keyboards write them
UNSEEN = dict.fromkeys((0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF))  # spaces without width, and marks of direction
_SYMBOLS = {
    "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "⁄": "/", "π": r"\pi ", "√": r"\sqrt ",
    "°": r"\degree ", "º": r"\degree ", "²": "^2", "³": "^3", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "∠": r"\angle ", "△": r"\triangle ",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "∞": r"\infty ",
    "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "≈": r"\approx ", "±": r"\pm ", "\u00a0": " ", "\u2009": " ",
}  # fmt: skip
_ONE_OF_THEM = re.compile("|".join(map(re.escape, _SYMBOLS)))
_COMMANDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right|displaystyle|limits|[bB]igg?[lr]?)(?![a-zA-Z])"), ""),
    (re.compile(r"\\[!,;:]|\{,\}"), ""),
    (re.compile(r"^~ ?(?=[\d$])"), r"\\approx "),
    (re.compile(r"\\(?: |quad|qquad)(?![a-zA-Z])|~"), " "),
    (re.compile(r"(?<=\d) ?[xX] ?(?=10 ?\^)"), "*"),
    (re.compile(r"(?<![\w\\{.])(\d{1,30}(?:\.\d{1,30})?)[eE]([-+]?\d{1,3})(?![\w.])"), r"\1*10^{\2}"),
    (re.compile(r"\\[dtc]?frac ?(\d) ?(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\(?:cdot|times|ast)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\le(?![a-zA-Z])"), r"\\leq"),
    (re.compile(r"\\ge(?![a-zA-Z])"), r"\\geq"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\^ ?(?:\{ ?\\circ ?\}|\\circ(?![a-zA-Z]))|\\deg(?![a-zA-Z])"), r"\\degree "),
    (re.compile(r"\*\*(?=\d)"), "^"),
)
TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|operatorname|mbox|rm|bf)\s*\{([^{}]*)\}")
_PAIRS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"), ('"', '"'), ("“", "”"))
_SPACES = re.compile(r"\s+")
_UNDRESSED = re.compile(r"(?![\s$*`\"“{]|\\(?![dtc]?frac|sqrt)).*[^\s.]", re.DOTALL)


def bare(text: str) -> str:
    r"""The text without what only dresses it: spaces, `**`, `$`, quotes, a whole \text{} or \boxed{}, a full stop."""
    if not text.isascii():
        text = normalize("NFC", text).translate(FULL_WIDTH | UNSEEN)
    if _UNDRESSED.fullmatch(text):
        return text
    for _ in range(12):  # more layers than anybody means
        before, text = text, text.strip().removesuffix(".").rstrip()
        for left, right in _PAIRS:
            inside = text[len(left) : -len(right)]
            if text.startswith(left) and text.endswith(right) and inside and left not in inside:
                text = inside
        whole = TEXT.fullmatch(text)
        text = whole[1] if whole else _unboxed(text)
        if text == before:
            break
    return text


def _unboxed(text: str) -> str:
    r"""What a lone \boxed{...} or {...} holds."""
    start = re.match(r"\\(?:boxed|fbox)\s*\{|\{", text)
    return text[start.end() : -1] if start and text.endswith("}") and _balanced(text[start.end() : -1]) else text


def _balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


def uniform(text: str) -> str:
    r"""A formula in one spelling; the text of \text{...} is marked «...»."""
    text = _ONE_OF_THEM.sub(lambda sign: _SYMBOLS[sign[0]], _SPACES.sub(" ", bare(text)))
    for pattern, spelling in _COMMANDS:
        text = pattern.sub(spelling, text)
    return TEXT.sub(r"«\1»", text).strip()


def canonical(text: str) -> str:
    """A formula as it is compared where it is not understood: one spelling, no spaces, no needless braces."""
    text = re.sub(r"[\s$«»]", "", uniform(text))
    return re.sub(r"\{([A-Za-z0-9])\}", r"\1", text)


def words(text: str) -> str:
    """A phrase as it is compared: lower case, no article, no punctuation at its ends."""
    text = _SPACES.sub(" ", TEXT.sub(r"\1", bare(text))).strip(" .,;:!?\"'“”‘’").casefold()
    return re.sub(r"^(?:the|an|a) (?=\S)", "", text)
