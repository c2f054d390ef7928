r"""What a response answers: the first of these rules that applies to what it says outside its thoughts.

    answer block    the last <answer>...</answer>, read by the rules below, or whole
    boxed           \boxed{...}; two that differ are no answer
    marker          what follows the last "the answer is" or "Answer:" that is told, not supposed or denied
    lone letter     a line that is only the letter of a choice
    marked letter   one (B) or **B** in the last sentence, if that sentence denies nothing
    option text     the text of one choice, and of no other, in a last sentence that denies and supposes nothing
    bare            a response that is a number, a formula, or yes or no, and nothing else

A box or a marker that is taken back ("No wait, that is wrong") is no answer. Never at random, never from inside a
thought; a thought, answer block or box that is not closed was cut off.
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
    r"(?:(?:is|=|(?:must|should) be)(?![a-z'’])[*_ ]{0,4}[:：]?|[:：])|答案(?:是|为|[:：])|故选[:：]?)[*_ ]{0,4}",
    re.IGNORECASE,
)
_DRESS = re.compile(r"[\s*_]*")
_SENTENCE_END = re.compile(r"[.。!?！？](?=\s|$)|\n+")
_DENIAL = re.compile(
    r"\b(?:not|no|neither|nor|never|cannot|wrong|incorrect|except|unlike|rather)\b|n['’]t\b", re.IGNORECASE
)
_SUPPOSED = re.compile(  # what stands before a marker, or a box, that does not tell it
    r"(?:\b(?:if|unless|whether|suppose|supposing|assum(?:e|ing)|unlikely|impossible|doubt\w*|neither"
    r"|not|never|cannot be|(?:not|never|cannot|may|might|could) (?:think|believe|say|conclude|mean|claim|guess|be)"
    r"|(?:one|some|many|people|students|you|they|he|she)(?: \w{1,12}){0,2} (?:say|think|believe|guess|claim|expect)s?)"
    r"|n['’]t(?: (?:think|believe|say|conclude|mean|claim|be))?)"
    r"(?: that)?(?: (?:the|my|our|its|an?|this))?(?: (?:final|correct|right|best))*[ *_$:(]*$",
    re.IGNORECASE,
)
_RETRACTED = re.compile(  # what stands after one that is taken back
    r"\bwait\b(?=\s*[,.!…—-]|\s+(?:no|that|this|let|i)\b)|\b(?:scratch that|on second thought|correction:"
    r"|i (?:made|was) (?:a mistake|an error|wrong|mistaken)|or (?:maybe|perhaps|possibly)"
    r"|let me re-?(?:check|consider|calculat|comput|think|examin|do)"
    r"|(?:that|this)(?:['’]s| is| was| seems| must be) (?:wrong|incorrect|not (?:right|correct)))"
    r"|^[\s$*)\\\]]{0,8}(?:(?:is|was|would be|seems) (?:wrong|incorrect|false|impossible|not)\b|\?)",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\b(?:or|if|whether|maybe|perhaps|possibly|might|may|could|would|guess|unsure|unclear|too)\b|[?？]", re.IGNORECASE
)
NEAR = 120  # characters before a marker or a box in which it may be denied
_REASON = re.compile(r",? (?:because|since)\b", re.IGNORECASE)
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
    each = [inner for box in held for inner in _inside(parts.visible, box)]
    first, *others = (_found(parts.visible, box, rule, choices) for box in each)
    if any(not _agree(first, other) for other in others):
        return Extraction("abstained", None, "boxes differ", span)
    before, after = _around(parts.visible, held[-1])
    if _SUPPOSED.search(before) or _RETRACTED.search(after):
        return Extraction("abstained", None, f"{rule}: taken back", span)
    return _found(parts.visible, span, rule, choices)


def _inside(said: str, box: Span) -> list[Span]:
    """The boxes in a box that holds several; else the box."""
    inner = boxes(said[slice(*box)]) or []
    return [(box[0] + start, box[0] + end) for start, end in inner] if len(inner) > 1 else [box]


def _around(said: str, box: Span) -> tuple[str, str]:
    r"""What is said in the line before a \boxed{...}, and all after it."""
    start = max(said.rfind("\\boxed", 0, box[0]), said.rfind("\\fbox", 0, box[0]))
    return _line_before(said, start), said[box[1] + 1 :]


def _line_before(said: str, end: int) -> str:
    """The end of the line that stands before a place."""
    start = max(0, end - NEAR)
    return said[max(start, said.rfind("\n", start, end) + 1) : end]


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
        return Extraction("abstained", None, f"{rule}: {'too long' if len(said) > LONGEST else 'empty'}", span)
    if not choices:
        return Extraction("answered", value, rule, span)
    letter = chosen(said, choices)
    if letter is None and (_LETTER_FIRST.match(undressed(value)) or rule == "answer block"):
        return Extraction("abstained", None, f"{rule}: no choice", span)
    return Extraction("answered", letter or value, rule, span)


def _marker(said: str, choices: Choices) -> Extraction | None:
    """What the last marker announces, to the end of its sentence, or on the next line."""
    markers = list(_MARKER.finditer(said))
    if not markers:
        return None
    told = next((one for one in reversed(markers) if not _SUPPOSED.search(_line_before(said, one.start()))), None)
    if told is None or _RETRACTED.search(said[told.end() :]):
        return Extraction("abstained", None, "marker: taken back" if told else "marker: supposed", None)
    span = _sentence(said, told.end())
    reason = None if choices else _REASON.search(said, *span)
    span = (span[0], reason.start()) if reason else span
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
    start, end = _last_sentence(said)
    marks = _marks(said, start, end, choices)
    letters = {mark[mark.lastindex or 0] for mark in marks}
    texts = all_named(said[start:end], choices)
    if len(letters) != 1 or _DENIAL.search(said, start, end) or (texts and not letters <= texts):
        return None
    return Extraction("answered", letters.pop(), "marked letter", marks[-1].span())


def _marks(said: str, start: int, end: int, choices: Choices) -> list[re.Match[str]]:
    return [mark for mark in _MARKED.finditer(said, start, end) if mark[mark.lastindex or 0] in choices]


def _last_sentence(said: str) -> Span:
    end = len(said.rstrip())
    for start in (max(0, end - LONGEST), 0):  # it is near the end, as a rule
        stops = [stop.end() for stop in _SENTENCE_END.finditer(said, start, end) if stop.end() < end]
        if stops:
            return stops[-1], end
    return 0, end


def _option_text(said: str, choices: Choices) -> Extraction | None:
    start, end = _last_sentence(said)
    named = all_named(said, choices)
    letters = {mark[mark.lastindex or 0] for mark in _marks(said, start, end, choices)}
    if len(named) != 1 or all_named(said[start:end], choices) | letters != named:
        return None
    if _DENIAL.search(said) or _HEDGED.search(said):
        return None
    return Extraction("answered", named.pop(), "option text", (start, end))


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
