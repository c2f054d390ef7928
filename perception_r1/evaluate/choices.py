"""Which of an item's own choices a text names: by letter (`B`, `(B)`, `**B**`, `B) 24`, `$B`) or by text."""

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from perception_r1.evaluate.equality import equal
from perception_r1.evaluate.notation import FULL_WIDTH, LONGEST, TEXT, bare, words
from perception_r1.evaluate.reading import read

Choices = Mapping[str, str]

_DRESS = re.compile(r"[*`$“”\"]|\\(?:text|textbf|mathrm|mathbf|boxed|fbox)(?![a-zA-Z])|\\[()\[\]]")
_SPACES = re.compile(r"\s+")  # runs of them would make the patterns below slow
_HEAD = re.compile(r"(?:(?:option|choice|answer) )?[(\[{]?([A-Z])(?![\w'’])[)\]}]?", re.IGNORECASE)
_DIVIDED = re.compile(r"\s*(?:$|[.):,;\n]|[-–]\s|because\b|since\b|as\b)")
_ANOTHER = re.compile(
    r"\s*[,/&;]?\s*[(\[]?(?:\b(?:or|and)\b(?: (?:maybe|perhaps|possibly|even|also|option|choice)\b){0,3})?"
    r"\s*[(\[{]?([A-Z])(?![\w'’])"
)
_OR = re.compile(r"[\s,;(\[]*or\b|[^.;]{0,200}?\bor (?:option |choice )?[(\[]?([A-Z])(?![\w'’])")
_TAKEN_BACK = re.compile(
    r"\s*(?:(?:is|was|would be)\s*)?(?:n['’]t|not|cannot|can['’]t|wrong|incorrect|false|impossible)\b", re.IGNORECASE
)
_ARTICLES = {"A", "I"}


def lettered(texts: Sequence[str]) -> dict[str, str]:
    """The choices by their letters, A first."""
    return dict(zip(ascii_uppercase, texts, strict=False))


def chosen(text: str, choices: Choices) -> str | None:
    """The letter of the one choice that the text is, or begins with; None if it is none or more than one."""
    plain = undressed(text)
    alone = plain.strip(" ()[]{}.,:;")
    if alone in choices:
        return alone
    return _named(text, choices) or _headed(plain, choices)


def undressed(text: str) -> str:
    """The text without marks of emphasis and formula, and with one space or line end for many."""
    plain = _DRESS.sub("", TEXT.sub(r"\1", text)).strip()
    return _SPACES.sub(lambda spaces: "\n" if "\n" in spaces[0] else " ", plain)


def _named(text: str, choices: Choices) -> str | None:
    """The letter of the one choice whose text this is, or whose value."""
    if len(text) > LONGEST:
        return None
    said = words(text)
    # a choice that is only its letter is named by the letter, in capitals
    same = [letter for letter, known in choices.items() if said and words(known) == said and known != letter]
    if not same:
        value = read(text)
        same = [letter for letter, known in choices.items() if value and equal(read(known), value)]
    return same[0] if len(same) == 1 else None


def _headed(plain: str, choices: Choices) -> str | None:
    """The letter that the text begins with, if what follows does not take it back."""
    head = _HEAD.match(plain)
    if not head or head[1] not in choices:
        return None
    letter, tail = head[1], plain[head.end() :]
    bracketed = head[0][-1] in ")]}"
    if letter in _ARTICLES and not bracketed and not _DIVIDED.match(tail):
        return None  # "A triangle"
    if _TAKEN_BACK.match(tail):
        return None  # "B is wrong"
    another = _ANOTHER.match(tail)
    if another and another[1] != letter and another[1] in choices:
        return None  # "A or B"
    hedged = _OR.match(tail)
    if hedged and (hedged[1] is None or (hedged[1] in choices and hedged[1] != letter)):
        return None  # "B or 24", "(B) 30 or (C) 45"
    follows = _named(bare(tail.strip(" .):,;-–]}")), choices) if tail.strip() else None
    return letter if follows in (None, letter) else None


def _restated(text: str, choices: Choices) -> str | None:
    """The letter of a text that is a choice's letter and text, or its text, and nothing else."""
    plain = undressed(text)
    head = _HEAD.match(plain)
    letter = _named(plain if head is None else plain[head.end() :].strip(" .):,;-–]}"), choices)
    return letter if head is None or letter == head[1] else None


def all_named(text: str, choices: Choices) -> set[str]:
    """The letters of all choices whose texts occur in the text, a longer one hiding the shorter ones inside it."""
    if (letter := _restated(text, choices)) is not None:
        return {letter}
    left, found = " ".join(text.translate(FULL_WIDTH).casefold().split()), set()
    for letter, known in sorted(choices.items(), key=lambda choice: -len(choice[1])):
        said = " ".join(known.translate(FULL_WIDTH).casefold().split())
        if said not in left or (len(said) < 2 and not said.isdigit()):
            continue  # a single letter says nothing in a sentence
        pattern = re.compile(rf"(?<![\w.,]){re.escape(said)}(?!\w|[.,]\d)")
        if pattern.search(left):
            found.add(letter)
            left = pattern.sub("\n", left)
    return found
