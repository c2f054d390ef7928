"""How much of a score is the harness: the same stored responses, read as others read them.

    ours          the benchmark's own rules, which are those of `extraction` and `grading` but for a few
    strict        only one box inside an answer block, after a closed thought; nothing else is an answer
    paper         the first <answer> block wherever it stands, its box if there is one, compared as ours are
    mmmu rule     the last bracketed or lone letter in the whole response; none found: a coin toss, so 1 of n choices
    last number   the last number or letter of the whole response, as harnesses for small models do

These are our readings of published rules, for comparison only; no score of ours uses them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.item import Benchmark, stored_item
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.extraction import Extraction
from perception_r1.evaluate.grading import ALSO_CALLED, gold_letter, infer_type, judged
from perception_r1.evaluate.layout import boxes, outline
from perception_r1.evaluate.metrics import Metric
from perception_r1.records import AnswerType

Row = Mapping[str, Any]
Reader = Callable[[str, Row, Benchmark], float]

BLOCK = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
BRACKETED = re.compile(r"\(([A-J])\)")
SPACED = re.compile(r" ([A-J]) ")
LAST = re.compile(r"-?\d+(?:\.\d+)?|\b[A-J]\b")


def ours(response: str, row: Row, benchmark: Benchmark) -> float:
    """By our own rules."""
    return float(benchmark.grade(response, stored_item(row))[1].correct)


def strict(response: str, row: Row, benchmark: Benchmark) -> float:
    """Right if the one box of the one answer block is."""
    parts = outline(response)
    if parts.unclosed or len(parts.answers) != 1 or not parts.thoughts:
        return 0.0
    start, end = parts.answers[0]
    held = boxes(parts.visible[start:end])
    return ours(response, row, benchmark) if held and len(held) == 1 else 0.0


def paper(response: str, row: Row, benchmark: Benchmark) -> float:
    """By the first answer block, also inside a thought; a response without one is wrong."""
    block = BLOCK.search(response)
    return ours(block[1].replace("<", "< "), row, benchmark) if block else 0.0


def mmmu_rule(response: str, row: Row, benchmark: Benchmark) -> float:
    """By the last letter in brackets or between spaces; without one, by chance."""
    choices = _choices(row)
    if not choices:
        return last_number(response, row, benchmark)
    said = f" {response.strip(',.!?;:')} "
    found = [letter for letter in BRACKETED.findall(said) if letter in choices]
    found = found or [letter for letter in SPACED.findall(said) if letter in choices]
    return float(found[-1] == gold_letter(row["gold"], choices)) if found else 1 / len(choices)


def last_number(response: str, row: Row, benchmark: Benchmark) -> float:
    """By the last number or letter anywhere."""
    found = LAST.findall(response)
    if not found:
        return 0.0
    said = Extraction("answered", found[-1], "last", None)
    choices = _choices(row)
    wanted = gold_letter(row["gold"], choices) if choices else None
    return float(any(judged(said, gold, _kind(row), row["precision"], wanted)[1].correct for gold in _golds(row)))


HARNESSES: Mapping[str, Reader] = {
    "ours": ours,
    "strict": strict,
    "paper": paper,
    "mmmu rule": mmmu_rule,
    "last number": last_number,
}


def sensitivity(rows: Sequence[Row], benchmark: Benchmark) -> list[Metric]:
    """The accuracy of the same responses under each harness; a response that was cut off is wrong under all."""
    known = [row for row in rows if row["gold"] and row["status"] != "judge_failed"]
    if not known:
        return [Metric(name=name, value=None) for name in HARNESSES]
    n = len(known)
    return [
        Metric(name=name, value=sum(regraded(row, name, benchmark) for row in known) / n, n=n) for name in HARNESSES
    ]


def regraded(row: Row, harness: str, benchmark: Benchmark) -> float:
    """The grade of a stored response under a harness; what is stored is ours."""
    if row["status"] == "truncated":
        return 0.0
    if harness == "ours":
        return float(bool(row["correct"]))
    return HARNESSES[harness](row["response"], row, benchmark)


def _golds(row: Row) -> list[str]:
    return [row["gold"], *row["also"]]


def _choices(row: Row) -> dict[str, str] | None:
    return lettered(row["choices"]) or None


def _kind(row: Row) -> AnswerType:
    kind: AnswerType = row["answer_type"] or infer_type(row["gold"])
    return ALSO_CALLED.get(kind, kind)
