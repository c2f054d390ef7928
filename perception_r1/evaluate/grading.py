r"""Whether a response is right: one grader for evaluation and training.

    grade_answer(r"<think>...</think><answer>\boxed{2\sqrt{221}}</answer>", r"2 \sqrt { 221 }").correct   # True
    grade_answer(r"<answer>\boxed{29.73}</answer>", r"2 \sqrt { 221 }").correct                            # False

Strict: a rounded decimal is no surd, two answers are none, and an answer that is not given is not guessed. Nothing
that a model wrote is evaluated, nothing is unbounded, nothing needs the main thread.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from string import ascii_uppercase
from typing import cast

from perception_r1.errors import PerceptionError
from perception_r1.evaluate.choices import Choices, chosen
from perception_r1.evaluate.equality import close, equal, within
from perception_r1.evaluate.extraction import Extraction, extract_answer
from perception_r1.evaluate.notation import bare, canonical, uniform, words
from perception_r1.evaluate.reading import Reading, read, split_commas
from perception_r1.records import AnswerType, Status

YES = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_UNTOLD: Choices = dict.fromkeys(ascii_uppercase[:10], "")  # letters without texts, where only the gold is known
_INTEGER = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:,\d{3})+)")
_DECIMAL = re.compile(r"[-+]?\d*\.(\d+)|[-+]?\d{1,3}(?:,\d{3})+\.(\d+)")
_LETTER = re.compile(r"\(?([A-J])\)?\.?")
_SEVERAL = re.compile(r"[A-J](?:\s*[,;]\s*[A-J])+")
_LIKE_MATH = re.compile(r"[\d\\^=°√π∞∠△]")
MOST_PLACES = 30
# the sorts of answer that people name, by the rule that grades them
ALSO_CALLED: Mapping[str, AnswerType] = {
    "int": "integer",
    "number": "math",
    "percent": "math",
    "units": "math",
    "unit": "math",
    "coordinates": "math",
    "surd": "math",
    "surds": "math",
    "expression": "math",
    "latex": "math",
    "yes/no": "yes_no",
    "bool": "yes_no",
    "choice": "letter",
    "multiple_choice": "letter",
}
Precision = int | Fraction | None  # decimal places, or an absolute tolerance
_OPENING = re.compile(r"(yes|no|true|false)\b(?!\s+(?:or|and)\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grade:
    """Whether the answer is right; `rule` says how it was compared or, where `status` says there was none, why."""

    correct: bool
    status: Status
    rule: str


def grade_answer(
    response: str,
    gold: str | float,
    answer_type: str | None = None,
    precision: float | None = None,
    choices: Choices | None = None,
) -> Grade:
    """The grade of a response against the gold answer; without a type, the gold says what type it is.

    precision: the decimal places that count (1.0 is one), or below 1 an absolute tolerance (0.001); NaN is none.
    choices: letters with their texts, where the question offers some.
    """
    if not isinstance(gold, str | int | float):
        raise PerceptionError(f"the gold answer is {gold!r}; it must be text or a number")
    return graded(response, str(gold), answer_type, precision, choices)[1]


def graded(
    response: str,
    gold: str,
    answer_type: str | None = None,
    precision: float | None = None,
    choices: Choices | None = None,
) -> tuple[Extraction, Grade]:
    """The answer that was found in a response, and its grade."""
    wanted = gold_letter(gold, choices) if choices else None
    options = choices if wanted else None
    kind: AnswerType = "letter" if wanted else _kind(answer_type, gold)
    if kind == "letter" and options is None and _LETTER.fullmatch(bare(gold)):
        options, wanted = _UNTOLD, bare(gold).strip("().")
    return judged(extract_answer(response, options), gold, kind, precision, wanted)


def judged(
    said: Extraction, gold: str, kind: AnswerType, precision: float | None = None, wanted: str | None = None
) -> tuple[Extraction, Grade]:
    """An answer that was found, and its grade; `wanted` is the right letter where there are choices."""
    if said.value is None:
        return said, Grade(False, said.status, said.rule)
    if wanted:
        return said, Grade(said.value == wanted, "answered", "letter")
    return said, Grade(_RULES[kind](said.value, gold, _known(precision)), "answered", kind)


def _kind(answer_type: str | None, gold: str) -> AnswerType:
    """The type by any of its names; raises PerceptionError for a name that is none."""
    if answer_type is None:
        return infer_type(gold)
    kind = ALSO_CALLED.get(answer_type, answer_type)
    if kind not in _RULES:
        known = ", ".join([*_RULES, *ALSO_CALLED])
        raise PerceptionError(f"the answer type {answer_type!r} is unknown; known: {known}")
    return cast(AnswerType, kind)


def gold_letter(gold: str, choices: Choices) -> str | None:
    """The letter of the right choice, whether the gold is given as a letter or as a choice's text."""
    return chosen(gold, choices)


@lru_cache(maxsize=8192)
def infer_type(gold: str) -> AnswerType:
    """What type of answer a gold answer is."""
    text = bare(gold)
    if words(text) in YES:
        return "yes_no"
    if _INTEGER.fullmatch(text):
        return "integer"
    if _DECIMAL.fullmatch(text):
        return "float"
    if _LETTER.fullmatch(text):
        return "letter"
    if _SEVERAL.fullmatch(text) or (text.startswith("[") and text.endswith("]")):
        return "list"
    reading = read(text)
    if reading and len(reading.parts) > 1 and not reading.brackets:
        return "list"
    return "math" if reading or _LIKE_MATH.search(text) else "text"


def _known(precision: float | None) -> Precision:
    """Decimal places or an absolute tolerance; data sets store them as floats, and as NaN where there are none."""
    if precision is None or not 0 <= precision <= MOST_PLACES:
        return None
    return Fraction(str(precision)) if 0 < precision < 1 else int(precision)


def _near(said: str, gold: str, precision: Precision) -> bool:
    """One number that is as near to the gold one as the precision says."""
    wanted, value = read(gold), read(said)
    if precision is None or wanted is None or value is None:
        return False
    return within(wanted, value, precision) if isinstance(precision, Fraction) else close(wanted, value, precision)


def _math(said: str, gold: str, precision: Precision) -> bool:
    """The same value or the same formula; near enough only where the set says how near."""
    wanted, value = read(gold), read(said)
    if equal(wanted, value):
        return True
    if not _is_number(wanted) and canonical(gold) == canonical(said) != "":
        return True
    return _near(said, gold, precision)


def _is_number(reading: Reading | None) -> bool:
    """Whether it is one rational without a unit: only what is read as that number is it; 5 6 is not 56."""
    return (
        reading is not None and len(reading.parts) == 1 and not reading.unit and reading.parts[0].rational is not None
    )


def _integer(said: str, gold: str, precision: Precision) -> bool:
    return _math(said, gold, None)


def _float(said: str, gold: str, precision: Precision) -> bool:
    """Right to the places that are asked for, else to those that the gold answer shows."""
    shown = _DECIMAL.fullmatch(bare(gold))
    precision = len(shown[1] or shown[2]) if precision is None and shown else precision
    return _math(said, gold, None) if precision is None or read(gold) is None else _near(said, gold, precision)


def _list(said: str, gold: str, precision: Precision) -> bool:
    """The same elements in the same order; letters in any order."""
    wanted, given = _elements(gold), _elements(said)
    if all(_LETTER.fullmatch(one) for one in wanted):
        return sorted(wanted) == sorted(one.strip("().") for one in given)
    return len(wanted) == len(given) and all(_element(s, g, precision) for s, g in zip(given, wanted, strict=True))


def _elements(text: str) -> list[str]:
    formula = uniform(text).strip()
    if formula[:1] + formula[-1:] in ("[]", "()", "{}"):
        formula = formula[1:-1]
    formula = re.sub(r"\band\b|\bor\b", ",", formula.replace("«", "").replace("»", ""))
    return [piece.strip(" '\"") for piece in split_commas(formula) if piece.strip(" '\"")]


def _element(said: str, gold: str, precision: Precision) -> bool:
    return _float(said, gold, precision) if read(gold) else _text(said, gold, precision)


def _text(said: str, gold: str, precision: Precision) -> bool:
    return words(said) == words(gold) != "" or (bool(_LIKE_MATH.search(gold)) and _math(said, gold, None))


def _yes_no(said: str, gold: str, precision: Precision) -> bool:
    """The word that the answer begins with, unless the other one is in it too."""
    wanted = YES.get(words(gold), {"1": "yes", "0": "no"}.get(words(gold), ""))
    given = {YES[word] for word in re.findall(r"\b(yes|no|true|false)\b", words(said))}
    return bool(_OPENING.match(words(said))) and given == {wanted}


def _letter(said: str, gold: str, precision: Precision) -> bool:
    return _list(said, gold, precision) if _SEVERAL.fullmatch(bare(gold)) else _text(said, gold, precision)


_RULES: Mapping[AnswerType, Callable[[str, str, Precision], bool]] = {
    "integer": _integer,
    "float": _float,
    "list": _list,
    "yes_no": _yes_no,
    "letter": _letter,
    "text": _text,
    "math": _math,
}
