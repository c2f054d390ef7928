"""How a problem is put to a model: the same messages in training and in evaluation."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

MARK = "<image>"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Instruction = Literal["none", "layout"]


def messages(question: str, images: int, choices: tuple[str, ...] = (), instruction: Instruction = "none") -> Any:
    """One user message whose parts follow the marks in the question; images without a mark come first."""
    missing = images - question.count(MARK)
    pieces = re.split(f"({MARK})", MARK * max(missing, 0) + question)
    parts: list[dict[str, str]] = [
        {"type": "image", "text": ""} if piece == MARK else {"type": "text", "text": piece} for piece in pieces if piece
    ]
    if choices and tuple(choices) != tuple(LETTERS[: len(choices)]):
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))
        parts.append({"type": "text", "text": f"\n{listed}"})
    if instruction != "none":
        parts.append({"type": "text", "text": f"\n\n{_instruction(instruction)}"})
    return [{"role": "user", "content": parts}]


@cache
def _instruction(name: str) -> str:
    return (Path(__file__).parent / "prompts" / f"{name}.txt").read_text().strip()
