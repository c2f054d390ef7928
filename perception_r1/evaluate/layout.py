r"""Where the parts of a response are: its thoughts, its answer blocks, its boxes. One pass each, whatever the text.

    <think>Bar A is 7. Bar C is 2.</think>
    <answer>\boxed{5}</answer>

So are <thinking>, <thought>, <reasoning> and ◁think▷, as other models write. A thought that a chat template opened
(`...</think>` without a start) is a thought all the same.
"""

import re
from dataclasses import dataclass

from perception_r1.evaluate.notation import FULL_WIDTH

Span = tuple[int, int]

TAG = re.compile(r"[<◁](/?)(?:(think(?:ing)?|thoughts?|reasoning)|answer)\s*[>▷]", re.IGNORECASE)
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is text


@dataclass(frozen=True, slots=True)
class Outline:
    """The spans of a response's thoughts and answer blocks, without their tags, and the tag that was never closed."""

    thoughts: tuple[Span, ...]
    answers: tuple[Span, ...]
    unclosed: str  # "think", "answer" or ""
    visible: str  # the response, as long as it was, with every thought blanked out, and no wide letters


def outline(text: str) -> Outline:
    """The outline of a response; what looks like a tag inside a thought is part of the thought."""
    thoughts: list[Span] = []
    answers: list[Span] = []
    blanks: list[Span] = []
    thinking: re.Match[str] | None = None
    answering: int | None = None
    for tag in TAG.finditer(text):
        opens, name = not tag[1], (tag[2] or "").lower()
        if name and opens:
            thinking = thinking or tag
        elif name and thinking is None:  # the template opened it: all before was thought
            thoughts, answers, blanks, answering = [(0, tag.start())], [], [(0, tag.end())], None
        elif name and thinking and thinking[2].lower() == name:
            thoughts.append((thinking.end(), tag.start()))
            blanks.append((thinking.start(), tag.end()))
            thinking = None
        elif thinking is None and opens:
            answering = tag.end()
        elif thinking is None and answering is not None:
            answers.append((answering, tag.start()))
            answering = None
    unclosed = "think" if thinking is not None else "answer" if answering is not None else ""
    return Outline(tuple(thoughts), tuple(answers), unclosed, _blanked(text, blanks))


def _blanked(text: str, spans: list[Span]) -> str:
    pieces, at = [], 0
    for start, end in spans:
        pieces += [text[at:start], "\n" * (end - start)]
        at = end
    return "".join([*pieces, text[at:]]).translate(FULL_WIDTH)


def boxes(text: str) -> list[Span] | None:
    r"""The spans of what the outermost \boxed{...} hold, braces counted; None if the last one is cut off."""
    found: list[Span] = []
    at = 0
    while box := BOX.search(text, at):
        end = _closing(text, box.end())
        if end is None:
            return None
        found.append((box.end(), end))
        at = end + 1
    return found


def _closing(text: str, start: int) -> int | None:
    """Where the brace that was opened before `start` is closed."""
    depth = 1
    for brace in BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return None
