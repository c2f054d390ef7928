"""The atomic statements of the kept trajectories, listed by a text model that never sees the picture."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from perception_r1.annotate.trajectories import Watch
from perception_r1.endpoints import Endpoint, Reply, Request, reason_of
from perception_r1.errors import EndpointError, Malformed
from perception_r1.records import FactType, Problem, Trajectory

PROMPT = Path(__file__).parent / "prompts" / "extractor.txt"
FENCES = re.compile(r"<(?=/?(?:question|response)\b)", re.IGNORECASE)
ANSWER = re.compile(r"<answer>.*|</?think>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """One statement of one trajectory."""

    problem: str
    trajectory: str
    text: str
    type: FactType


@pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
class Statement:
    """One statement as the extractor writes it."""

    text: str
    type: FactType


@pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
class Statements:
    """The reply that the extractor must give."""

    annotations: list[Statement]


def extract(
    problems: Sequence[Problem],
    trajectories: Sequence[Trajectory],
    endpoint: Endpoint,
    max_tokens: int,
    watch: Watch | None = None,
) -> tuple[list[Found], list[tuple[str, str]]]:
    """What the kept trajectories state, in their order; then the trajectories whose extraction failed, and why."""
    question_of = {problem.id: problem.question for problem in problems}
    kept = [trajectory for trajectory in trajectories if not trajectory.dropped]
    prompt, form = PROMPT.read_text(), schema()

    def requests() -> Iterator[Request]:
        for trajectory in kept:
            asked = messages(question_of[trajectory.problem], trajectory.text, prompt)
            yield Request(asked, max_tokens, schema=form)

    answered: dict[int, list[Found] | str] = {}
    for number, reply in endpoint.ask(requests()):
        answered[number] = _found(kept[number], reply)
        if watch:
            watch(len(answered), len(kept))
    outcomes = [(trajectory.id, answered[number]) for number, trajectory in enumerate(kept)]
    found = [fact for _, outcome in outcomes if not isinstance(outcome, str) for fact in outcome]
    return found, [(name, outcome) for name, outcome in outcomes if isinstance(outcome, str)]


def schema() -> dict[str, Any]:
    """The JSON schema of a reply."""
    return pydantic.TypeAdapter(Statements).json_schema()


def messages(question: str, response: str, prompt: str) -> tuple[dict[str, str], ...]:
    """The chat of one extraction; what stands between the marks cannot end them."""
    thought = ANSWER.sub("", response).strip() or response
    fenced = (
        f"<question>\n{_unmarked(question.replace('<image>', '').strip())}\n</question>\n"
        f"<response>\n{_unmarked(thought)}\n</response>"
    )
    return {"role": "system", "content": prompt}, {"role": "user", "content": fenced}


def _unmarked(text: str) -> str:
    return FENCES.sub("&lt;", text)


def _found(trajectory: Trajectory, reply: Reply | EndpointError) -> list[Found] | str:
    """The statements of one reply, or why there are none."""
    if isinstance(reply, EndpointError):
        return reason_of(reply)
    try:
        said = pydantic.TypeAdapter(Statements).validate_json(reply.text).annotations
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return reason_of(Malformed(f"{place or 'the reply'}: {first['msg']}; got {str(first['input'])[:80]!r}"))
    if any(not statement.text.strip() for statement in said):
        return reason_of(Malformed("an annotation without a text"))
    return [Found(trajectory.problem, trajectory.id, " ".join(one.text.split()), one.type) for one in said]
