"""Choices that a question lists in its own text: `Choices:\\nA:40°\\nB:50°`, `A. 3 cm; B. 4 cm`, a Python list."""

import ast
import re

from perception_r1.errors import BadProblem

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_START = re.compile(r"(?:^|[\n;；,，]|(?<=:)|\s\s)\s*\(?([A-J])\)?\s*[.．、:：)]\s*")


def choices_in(text: str) -> tuple[str, ...]:
    """The texts of choices A, B, C, … as far as they come in this order; empty if there are fewer than two."""
    starts: list[re.Match[str]] = []
    for found in _START.finditer(text):
        if found[1] == LETTERS[len(starts)]:
            starts.append(found)
    ends = [*(found.start() for found in starts[1:]), len(text)]
    texts = [text[start.end() : end].strip(" \t\n;；,，") for start, end in zip(starts, ends, strict=False)]
    return tuple(texts) if len(texts) > 1 else ()


def literal(text: str, where: str) -> tuple[str, ...]:
    """The elements of a list that is stored as Python text."""
    if not text.strip():
        return ()
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise BadProblem(f"{where}: options are no list: {text[:60]!r}") from None
    return tuple(str(one).strip() for one in found) if isinstance(found, list | tuple) else (str(found),)


def lettered_lines(choices: tuple[str, ...]) -> str:
    """The choices as they are listed in a question, a line each."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))


def check_letter(answer: str, choices: tuple[str, ...], where: str) -> None:
    """Raises BadProblem where the right letter is none of the choices."""
    if choices and len(answer) == 1 and answer.isupper() and answer not in LETTERS[: len(choices)]:
        raise BadProblem(f"{where}: the answer {answer} is none of its {len(choices)} choices")
