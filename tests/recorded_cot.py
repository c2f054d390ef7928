"""The recorded chains of thought, read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent / "recorded"
LINE = re.compile(r"(seen|stated|deduced): (.+?) \| (\w+)$")

Label = Literal["seen", "stated", "deduced"]


@dataclass(frozen=True)
class Recorded:
    """One chain of thought with what an extractor lists of it: (label, text, type)."""

    number: int
    language: str
    question: str
    response: str
    statements: tuple[tuple[str, str, str], ...]


def recorded(name: str = "cot.txt") -> Iterator[Recorded]:
    """All of a file."""
    for block in re.split(r"^=== ", (FOLDER / name).read_text(), flags=re.MULTILINE)[1:]:
        head, _, rest = block.partition("\n")
        question, _, rest = rest.removeprefix("Q: ").partition("\nR: ")
        response = rest[: re.search(r"\n(?=seen|stated|deduced)", rest).start()]
        statements = tuple(LINE.match(line).groups() for line in rest.splitlines() if LINE.match(line))
        number, language = head.split()
        yield Recorded(int(number), language, question, response, statements)
