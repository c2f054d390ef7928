"""A model is asked what a response answers, only where no rule finds it, and only for what the response itself says.

Its reply is one line, "ANSWER: …" or "NONE"; an answer must stand word for word in what the response says outside its
thoughts, or be the letter of a choice that is named there. Any other reply is a failure, never an answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perception_r1.benchmarks.item import Benchmark, Item
from perception_r1.endpoints import Endpoint, Reply, Request
from perception_r1.evaluate.choices import Choices, all_named
from perception_r1.evaluate.layout import outline
from perception_r1.records import Prediction

PROMPT = Path(__file__).parent / "prompts" / "find.txt"
LINE = re.compile(r"\s*(?:ANSWER: ?(?P<answer>[^\n]+?)|(?P<none>NONE))\s*")
ASKED = "asked a model"  # the rule of what it found: a score without it is the share of the others
MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Finder:
    """The model that is asked."""

    endpoint: Endpoint
    max_tokens: int = MAX_TOKENS


def found(finder: Finder, benchmark: Benchmark, items: Sequence[Item], rows: Sequence[Prediction]) -> list[Prediction]:
    """The predictions, those that abstained with what the model finds in them."""
    made = list(rows)
    open_rows = [place for place, row in enumerate(rows) if row.status == "abstained" and _said(row.response)]
    requests = (_request(finder, items[place], rows[place]) for place in open_rows)
    for number, reply in finder.endpoint.ask(requests):
        place = open_rows[number]
        made[place] = _answered(benchmark, items[place], rows[place], reply)
    return made


def _said(response: str) -> str:
    return outline(response).visible.strip()


def _request(finder: Finder, item: Item, row: Prediction) -> Request:
    options = item.options or {}
    choices = "".join(f"{letter}. {text}\n" for letter, text in options.items())
    text = PROMPT.read_text().format(
        question=item.problem.question.replace("<image>", "[picture]"),
        choices=f"Choices:\n{choices}\n" if choices else "",
        response=_said(row.response).replace("</response>", "< /response>"),
    )
    return Request(({"role": "user", "content": text},), finder.max_tokens)


def _answered(benchmark: Benchmark, item: Item, row: Prediction, reply: object) -> Prediction:
    """The prediction with the answer that the reply names; a reply that is not as it was asked for is a failure."""
    if not isinstance(reply, Reply):
        return replace(row, status="judge_failed", rule=f"{ASKED}: no reply", correct=None)
    answer = parsed(reply.text, row.response, item.options)
    if answer is None:
        return replace(row, status="judge_failed", rule=f"{ASKED}: unreadable reply", correct=None)
    if not answer:
        return replace(row, rule=f"{ASKED}: none")
    said, grade = benchmark.grade(f"\\boxed{{{answer}}}", item)
    return replace(
        row,
        status=grade.status,
        value=said.value,
        rule=ASKED,
        correct=grade.correct if item.problem.answer else None,
    )


def parsed(reply: str, response: str, choices: Choices | None) -> str | None:
    """The answer of a reply, "" for none; None if the reply is not one line of the two, or says what was not said."""
    line = LINE.fullmatch(reply)
    if not line:
        return None
    if line["none"]:
        return ""
    answer, said = line["answer"].strip(), _said(response)
    if choices and answer in choices:
        named = re.search(rf"(?<!\w){answer}(?!\w)", said) or answer in all_named(said, choices)
        return answer if named else None
    return answer if answer and " ".join(answer.split()) in " ".join(said.split()) else None
