"""The atomic statements of the kept trajectories, listed by a text model that never sees the picture."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import pydantic

from perception_r1.annotate.asking import Asker, Bill, Question, Watch
from perception_r1.annotate.journal import Journal, Outcome, key_of
from perception_r1.annotate.trajectories import DECLINES, is_writable
from perception_r1.endpoints import Endpoint, Reply, Request, reason_of
from perception_r1.errors import EndpointError, Malformed, Refused
from perception_r1.records import FactType, Problem, Trajectory

PROMPT = Path(__file__).parent / "prompts" / "extractor.txt"
FENCES = re.compile(r"<(?=/?(?:question|response)\b)", re.IGNORECASE)
LONGEST = 500  # of a statement, in characters
WARMER = 0.4  # a further attempt's temperature
ANSWER = re.compile(r"<answer>.*|</?think>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """One statement of one trajectory."""

    problem: str
    trajectory: str
    text: str
    type: FactType


@dataclass(frozen=True, slots=True)
class Text:
    """A kept trajectory as the extractor is shown it."""

    problem: str
    trajectory: str
    question: str
    response: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """One statement as it is stored, or (without a text) why those of a trajectory are missing."""

    problem: str
    trajectory: str
    text: str
    type: FactType
    failure: str = ""


@pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
class Statement:
    """One statement as the extractor writes it."""

    text: str
    type: FactType


@pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
class Statements:
    """The reply that the extractor must give."""

    annotations: list[Statement]


@dataclass(frozen=True, slots=True)
class Reading:
    """What an extractor is asked of kept trajectories, and what it found in each."""

    asker: Asker
    max_tokens: int
    prompt: str = field(default_factory=PROMPT.read_text)

    def ask(self, texts: Iterable[Text], total: int, watch: Watch | None = None) -> None:
        """Asks for what is missing; the texts are gone through again where replies are unfit."""
        self.asker.ask(_Questions(self, texts), total, watch)

    def found(self, text: Text) -> list[Found] | str:
        """The statements of one trajectory, or why there are none."""
        said = self.asker.outcome(self.question(text).key)
        if isinstance(said, EndpointError):
            return reason_of(said)
        return [Found(text.problem, text.trajectory, " ".join(one.text.split()), one.type) for one in _parsed(said)]

    def rows(self, text: Text) -> list[Extracted]:
        """The same as rows to store."""
        found = self.found(text)
        if isinstance(found, str):
            return [Extracted(text.problem, text.trajectory, "", "other", found)]
        return [Extracted(one.problem, one.trajectory, one.text, one.type) for one in found]

    def question(self, text: Text) -> Question:
        """What is asked of one trajectory."""
        asked = messages(text.question, text.response, self.prompt)
        key = key_of(self.asker.endpoint.model, *(message["content"] for message in asked), self.max_tokens)
        return Question(key, partial(self._request, asked))

    def _request(self, asked: tuple[dict[str, str], ...], attempt: int) -> Request:
        heat = WARMER * attempt  # at temperature 0 another attempt would say the same again
        return Request(asked, self.max_tokens, heat, attempt or None, schema=schema())


@dataclass(frozen=True, slots=True)
class _Questions:
    reading: Reading
    texts: Iterable[Text]

    def __iter__(self) -> Iterator[Question]:
        return (self.reading.question(text) for text in self.texts)


def extract(
    problems: Sequence[Problem],
    trajectories: Sequence[Trajectory],
    endpoint: Endpoint,
    max_tokens: int,
    watch: Watch | None = None,
    attempts: int = 1,
) -> tuple[list[Found], list[tuple[str, str]]]:
    """What the kept trajectories state, in their order; then the trajectories whose extraction failed, and why."""
    question_of = {problem.id: problem.question for problem in problems}
    kept = [Text(one.problem, one.id, question_of[one.problem], one.text) for one in trajectories if not one.dropped]
    reading = Reading(Asker(endpoint, Journal(), Bill(), attempts, fit), max_tokens)
    reading.ask(kept, len(kept), watch)
    outcomes = [(text.trajectory, reading.found(text)) for text in kept]
    found = [fact for _, outcome in outcomes if not isinstance(outcome, str) for fact in outcome]
    return found, [(name, outcome) for name, outcome in outcomes if isinstance(outcome, str)]


def fit(reply: Reply) -> Outcome:
    """The reply, or what is wrong with its form."""
    if not is_writable(reply.text):
        return Malformed("half a character in the reply")
    try:
        said = _parsed(reply)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Malformed(f"{place or 'the reply'}: {first['msg']}; got {str(first['input'])[:80]!r}")
    if longest := max((len(one.text) for one in said if len(one.text) > LONGEST), default=0):
        return Malformed(f"an annotation of {longest:,} characters, where a statement has at most {LONGEST}")
    if declined := next((one.text for one in said if DECLINES.match(one.text)), ""):
        return Refused(f"the model declines in an annotation: {declined[:80]}")
    return reply if all(one.text.strip() for one in said) else Malformed("an annotation without a text")


def _parsed(reply: Reply) -> list[Statement]:
    return _form().validate_json(reply.text).annotations


@cache
def _form() -> pydantic.TypeAdapter[Statements]:
    return pydantic.TypeAdapter(Statements)


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of a reply."""
    return _form().json_schema()


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
