"""The teacher's chains of thought, or those that a data set has; and which are right: the accuracy filter."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from perception_r1.annotate.asking import Asker, Bill, Question, Watch
from perception_r1.annotate.journal import Journal, Outcome, key_of
from perception_r1.annotate.problems import Given
from perception_r1.endpoints import Endpoint, Reply, Request, image_part, reason_of, text_part
from perception_r1.errors import EndpointError, Malformed, Refused
from perception_r1.evaluate.choices import lettered
from perception_r1.records import Problem, Trajectory

PROMPT = Path(__file__).parent / "prompts" / "teacher.txt"
DECLINES = re.compile(  # a refusal in prose, which no finish_reason tells
    r"\W*(?:I['’]?m (?:really )?sorry|I am sorry|Sorry|I (?:can(?:no|['’])?t|cannot|am unable to|['’]m unable to))\b"
    r"[^.!?\n]*\b(?:can(?:no|['’])?t|cannot|unable|not able|assist|help|process|comply|provide|analy[sz]e)\b",
    re.IGNORECASE,
)

Grade = Callable[[str, Problem], tuple[str | None, bool]]  # the answer in a response, and whether it is right


@dataclass(slots=True)
class Teaching:
    """What a teacher is asked of problems, and its replies as trajectories in the problems' order."""

    asker: Asker
    samples: int
    temperature: float
    seed: int
    max_tokens: int
    prompt: str = field(default_factory=PROMPT.read_text)
    contents: dict[str, str] = field(default_factory=dict)  # the digest of each problem that was gone through

    def ask(self, problems: Iterable[Problem], total: int, watch: Watch | None = None) -> None:
        """Asks for what is missing; the problems are gone through again where replies are unfit."""
        self.asker.ask(_Again(lambda: self._questions(problems)), total * self.samples, watch)

    def trajectories(self, problems: Iterable[Problem], grade: Grade) -> Iterator[Trajectory]:
        """All trajectories; those of no use say why. The pictures of the problems may be missing by now."""
        for problem in problems:
            for sample in range(self.samples):
                said = self.asker.outcome(self._key(self._content(problem), sample))
                yield _trajectory(problem, sample, said, grade)

    def _questions(self, problems: Iterable[Problem]) -> Iterator[Question]:
        for problem in problems:
            content = self._content(problem)
            for sample in range(self.samples):
                yield Question(self._key(content, sample), partial(self._request, problem, sample))

    def _content(self, problem: Problem) -> str:
        """The digest of all that the teacher sees of a problem: two problems that look alike are asked as one."""
        if problem.id not in self.contents:
            seen = (hashlib.sha256(image).hexdigest() for image in problem.images)
            self.contents[problem.id] = key_of(self.prompt, problem.question, *problem.choices, *seen)
        return self.contents[problem.id]

    def _key(self, content: str, sample: int) -> str:
        return key_of(self.asker.endpoint.model, content, sample, self.temperature, self.seed, self.max_tokens)

    def _request(self, problem: Problem, sample: int, attempt: int) -> Request:
        chance = seed_of(self.seed, problem.id, sample, attempt)
        return Request(messages(problem, self.prompt), self.max_tokens, self.temperature, chance)


@dataclass(frozen=True, slots=True)
class _Again:
    """An iterable of what a function yields, as often as it is asked for."""

    make: Callable[[], Iterator[Question]]

    def __iter__(self) -> Iterator[Question]:
        return self.make()


def ask_trajectories(
    problems: Sequence[Problem],
    endpoint: Endpoint,
    samples: int,
    temperature: float,
    seed: int,
    max_tokens: int,
    grade: Grade,
    watch: Watch | None = None,
    attempts: int = 1,
) -> list[Trajectory]:
    """`samples` trajectories of each problem, in the problems' order; those of no use say why in `dropped`."""
    asker = Asker(endpoint, Journal(), Bill(), attempts, fit)
    teaching = Teaching(asker, samples, temperature, seed, max_tokens)
    teaching.ask(problems, len(problems), watch)
    return list(teaching.trajectories(problems, grade))


def given_trajectories(problems: Iterable[Problem], given: Iterable[Given], grade: Grade) -> Iterator[Trajectory]:
    """The responses that a data set has, graded like a teacher's; both iterables are in the order of the problems."""
    responses = iter(given)
    said = next(responses, None)
    for problem in problems:
        while said and said.problem == problem.id:
            if said.kind == "response":
                yield _trajectory(problem, said.number, Reply(said.text, 0, 0, 0.0), grade)
            said = next(responses, None)


def fit(reply: Reply) -> Outcome:
    """The reply, or the failure that it is."""
    if not reply.text.strip():
        return _with_cost(Malformed("an empty reply"), reply)
    if not is_writable(reply.text):
        return _with_cost(Malformed("half a character in the reply"), reply)
    if DECLINES.match(reply.text):
        return _with_cost(Refused(f"the model declines: {' '.join(reply.text.split())[:80]}"), reply)
    return reply


def is_writable(text: str) -> bool:
    """Whether it can be stored: JSON may hold halves of characters, which no UTF-8 does."""
    return text.encode("utf-8", "replace").decode() == text


def _with_cost(failure: EndpointError, reply: Reply) -> EndpointError:
    return failure.after(reply.prompt_tokens, reply.completion_tokens, reply.cost_usd)


def seed_of(seed: int, problem: str, sample: int, attempt: int = 0) -> int:
    """The seed of one request: it stays when other problems or samples come and go."""
    again = f" again {attempt}" if attempt else ""
    return int.from_bytes(hashlib.sha256(f"{seed} {problem} {sample}{again}".encode()).digest()[:4]) >> 1


def messages(problem: Problem, prompt: str) -> tuple[dict[str, Any], ...]:
    """A problem as a chat: the prompt, then the question with its pictures where their marks stand."""
    texts = problem.question.split("<image>")
    parts: list[dict[str, Any]] = [text_part(texts[0])] if texts[0].strip() else []
    for picture, text in zip(problem.images, texts[1:], strict=True):
        parts += [image_part(picture), *([text_part(text)] if text.strip() else [])]
    if _says_more_than_its_letters(problem.choices):
        listed = "\n".join(f"{letter}. {text}" for letter, text in lettered(problem.choices).items())
        parts.append(text_part(f"Choices:\n{listed}"))
    return {"role": "system", "content": prompt}, {"role": "user", "content": parts}


def _says_more_than_its_letters(choices: tuple[str, ...]) -> bool:
    return choices != tuple(lettered(choices))


def _trajectory(problem: Problem, sample: int, said: Outcome, grade: Grade) -> Trajectory:
    name = f"{problem.id}/{sample}"
    tokens = said.prompt_tokens + said.completion_tokens
    if isinstance(said, EndpointError):
        return Trajectory(name, problem.id, sample, "", None, False, reason_of(said), tokens, said.cost_usd)
    answer, correct = grade(said.text, problem)
    dropped = "" if correct else "no answer" if answer is None else "wrong answer"
    return Trajectory(name, problem.id, sample, said.text, answer, correct, dropped, tokens, said.cost_usd)
