r"""What a response answers: the first of these rules that applies to what it says outside its thoughts.

    answer block    the last <answer>...</answer>, read by the rules below, or whole
    boxed           \boxed{...}; two that differ are no answer
    marker          what follows the last "the answer is" or "Answer:"
    lone letter     a line that is only the letter of a choice
    marked letter   one (B) or **B** in the last sentence, if that sentence denies nothing
    option text     the text of one choice, and of no other
    bare            a response that is a number, a formula, or yes or no, and nothing else

Never at random, never from inside a thought; a thought, answer block or box that is not closed was cut off.
"""

import re
from dataclasses import dataclass, replace

from perception_r1.evaluate.choices import Choices, all_named, chosen, undressed
from perception_r1.evaluate.equality import equal
from perception_r1.evaluate.layout import Outline, Span, boxes, outline
from perception_r1.evaluate.notation import LONGEST, bare
from perception_r1.evaluate.reading import read
from perception_r1.records import Status

_MARKER = re.compile(
    r"(?:\b(?:answer|correct (?:option|choice))\b(?: to (?:the|this) (?:question|problem))?[*_ ]{0,4}"
    r"(?:(?:is|=|(?:must|should) be)(?![a-z'’])[*_ ]{0,4}[:：]?|[:：])|答案(?:是|为|[:：]))[*_ ]{0,4}",
    re.IGNORECASE,
)
_DRESS = re.compile(r"[\s*_]*")
_SENTENCE_END = re.compile(r"[.。!?！？](?=\s|$)|\n")
_DENIAL = re.compile(
    r"\b(?:not|no|neither|nor|never|cannot|wrong|incorrect|except|unlike|rather)\b|n['’]t\b", re.IGNORECASE
)
_UNCERTAIN = re.compile(r"(?:not|unclear|unknown|unsure|impossible)\b", re.IGNORECASE)
_LONE = re.compile(r"^[ \t(\[{*_`$#>-]{0,12}(?:\\(?:text|textbf|mathrm)\{)?([A-Z])[ \t)\]}*_`$.:]{0,12}$", re.MULTILINE)
_MARKED = re.compile(r"\(([A-Z])\)|\*\*\(?([A-Z])[.)]?\*\*|\b[Oo]ption ([A-Z])\b|\b[Cc]hoice ([A-Z])\b")
_FIGURE = re.compile(r"[\d\\π√]")
_YES_NO = re.compile(r"\W{0,4}(yes|no)\b(?=\W|$)(?!\s+\w)", re.IGNORECASE)
_LETTER_FIRST = re.compile(r"[(\[]?(?:[a-z][)\].]*$|[A-Z](?![\w'’])[)\]]?\s*(?:$|[.):,;/&]|(?:or|and)\b))")


@dataclass(frozen=True, slots=True)
class Extraction:
    """The answer of a response, the rule that found it and where; a value of None has a status that says why."""

    status: Status
    value: str | None
    rule: str
    span: Span | None


def extract_answer(response: str, choices: Choices | None = None) -> Extraction:
    """The answer that the response gives: a letter where there are choices (letters with their texts)."""
    parts = outline(response)
    if parts.unclosed == "think":
        return Extraction("truncated", None, "thought not closed", None)
    held = boxes(parts.visible)
    if held is None:
        return Extraction("truncated", None, "box not closed", None)
    if not held and parts.unclosed == "answer":
        return Extraction("truncated", None, "answer block not closed", None)
    options = choices or {}
    if held:
        return _from_boxes(parts, held, options)
    return _from_words(parts, options)


def _from_boxes(parts: Outline, held: list[Span], choices: Choices) -> Extraction:
    """The one answer of all boxes; the rule says whether it stands in the answer block."""
    block = parts.answers[-1] if parts.answers else None
    inside = [span for span in held if block and block[0] <= span[0] and span[1] <= block[1]]
    span = (inside or held)[-1]
    rule = "boxed in the answer block" if inside else "boxed"
    first, *others = (_found(parts.visible, box, rule, choices) for box in held)
    if any(not _agree(first, other) for other in others):
        return Extraction("abstained", None, "boxes differ", span)
    return _found(parts.visible, span, rule, choices)


def _agree(one: Extraction, other: Extraction) -> bool:
    if one.value is None or other.value is None:
        return one.value == other.value
    return one.value == other.value or equal(read(one.value), read(other.value))


def _from_words(parts: Outline, choices: Choices) -> Extraction:
    """By the rules for text without a box, in the last answer block if there is one."""
    start, end = parts.answers[-1] if parts.answers else (0, len(parts.visible))
    said = parts.visible[start:end]
    for rule in (_marker, _lone_letter, _marked_letter, _option_text, _bare):
        found = rule(said, choices)
        if found:
            return _moved(found, start)
    if parts.answers:
        return _moved(_found(said, (0, len(said)), "answer block", choices), start)
    return Extraction("abstained", None, "no answer", None)


def _moved(found: Extraction, by: int) -> Extraction:
    return replace(found, span=(found.span[0] + by, found.span[1] + by)) if found.span else found


def _found(text: str, span: Span, rule: str, choices: Choices) -> Extraction:
    """The answer that stands at the span; with choices, the letter of the one that it names."""
    said = text[span[0] : span[1]]
    value = bare(said) if len(said) <= LONGEST else ""
    if not value:
        return Extraction("abstained", None, f"{rule}: {'too long' if said.strip() else 'empty'}", span)
    if not choices:
        return Extraction("answered", value, rule, span)
    letter = chosen(said, choices)
    if letter is None and (_LETTER_FIRST.match(undressed(value)) or rule == "answer block"):
        return Extraction("abstained", None, f"{rule}: no choice", span)
    return Extraction("answered", letter or value, rule, span)


def _marker(said: str, choices: Choices) -> Extraction | None:
    """What the last marker announces, to the end of its sentence, or on the next line."""
    *_, last = (None, *_MARKER.finditer(said))
    if last is None:
        return None
    span = _sentence(said, last.end())
    announced = said[span[0] : span[1]]
    if not announced or _UNCERTAIN.match(announced):
        return Extraction("abstained", None, f"marker: {'denied' if announced else 'empty'}", span)
    if said[span[1] : span[1] + 1] in ("?", "？"):
        return Extraction("abstained", None, "marker: asked, not told", span)
    if choices and (len(announced) > LONGEST or chosen(announced, choices) is None):
        return None
    return _found(said, span, "marker", choices)


def _sentence(said: str, start: int) -> Span:
    """From the first thing said at or after `start` to the end of that sentence."""
    opening = _DRESS.match(said, start)
    start = opening.end() if opening else start
    end = _SENTENCE_END.search(said, start)
    return start, end.start() if end else len(said)


def _lone_letter(said: str, choices: Choices) -> Extraction | None:
    lines = [line for line in _LONE.finditer(said) if line[1] in choices]
    if len({line[1] for line in lines}) > 1:
        return Extraction("abstained", None, "lone letters differ", None)
    return Extraction("answered", lines[-1][1], "lone letter", lines[-1].span(1)) if lines else None


def _marked_letter(said: str, choices: Choices) -> Extraction | None:
    """In the last sentence that says anything."""
    end = len(said.rstrip())
    start = max((stop.end() for stop in _SENTENCE_END.finditer(said, 0, end) if stop.end() < end), default=0)
    marks = [mark for mark in _MARKED.finditer(said, start, end) if mark[mark.lastindex or 0] in choices]
    letters = {mark[mark.lastindex or 0] for mark in marks}
    if len(letters) != 1 or _DENIAL.search(said, start, end):
        return None
    return Extraction("answered", letters.pop(), "marked letter", marks[-1].span())


def _option_text(said: str, choices: Choices) -> Extraction | None:
    named = all_named(said, choices)
    if len(named) != 1 or _DENIAL.search(said):
        return None
    return Extraction("answered", named.pop(), "option text", (0, len(said)))


def _bare(said: str, choices: Choices) -> Extraction | None:
    """Nothing but an answer: for models that were asked for no more."""
    if choices or len(said.strip()) > LONGEST:
        return None
    value: str | None = bare(said)
    opening = _YES_NO.match(said.lstrip())  # a thought that was blanked out leaves many lines
    if opening:
        value = opening[1]
        other = "no" if value.casefold() == "yes" else "yes"
        value = None if re.search(rf"\b{other}\b", said, re.IGNORECASE) else value
    elif not _FIGURE.search(said) or not read(value):
        value = None
    return Extraction("answered", value, "bare", (0, len(said))) if value else None
