"""The teacher's chains of thought, and which of them are right: the accuracy filter."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from perception_r1.endpoints import Endpoint, Reply, Request, image_part, reason_of, text_part
from perception_r1.errors import EndpointError
from perception_r1.records import Problem, Trajectory

PROMPT = Path(__file__).parent / "prompts" / "teacher.txt"
LETTERS = "ABCDEFGHIJ"

Grade = Callable[[str, Problem], tuple[str | None, bool]]  # the answer in a response, and whether it is right
Watch = Callable[[int, int], None]  # done, total


def ask_trajectories(
    problems: Sequence[Problem],
    endpoint: Endpoint,
    samples: int,
    temperature: float,
    seed: int,
    max_tokens: int,
    grade: Grade,
    watch: Watch | None = None,
) -> list[Trajectory]:
    """`samples` trajectories of each problem, in the problems' order; those of no use say why in `dropped`."""
    asked = [(problem, sample) for problem in problems for sample in range(samples)]
    prompt = PROMPT.read_text()

    def requests() -> Iterator[Request]:  # one at a time: pictures are encoded when they are sent
        for problem, sample in asked:
            chance = seed_of(seed, problem.id, sample)
            yield Request(messages(problem, prompt), max_tokens, temperature, chance)

    answered: dict[int, Trajectory] = {}
    for number, reply in endpoint.ask(requests()):
        answered[number] = _trajectory(*asked[number], reply, grade)
        if watch:
            watch(len(answered), len(asked))
    return [answered[number] for number in range(len(asked))]


def seed_of(seed: int, problem: str, sample: int) -> int:
    """The seed of one request: it stays when other problems or samples come and go."""
    return int.from_bytes(hashlib.sha256(f"{seed} {problem} {sample}".encode()).digest()[:4]) >> 1


def messages(problem: Problem, prompt: str) -> tuple[dict[str, Any], ...]:
    """A problem as a chat: the prompt, then the question with its pictures where their marks stand."""
    texts = problem.question.split("<image>")
    parts: list[dict[str, Any]] = [text_part(texts[0])] if texts[0].strip() else []
    for picture, text in zip(problem.images, texts[1:], strict=True):
        parts += [image_part(picture), *([text_part(text)] if text.strip() else [])]
    if _says_more_than_its_letters(problem.choices):
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, problem.choices, strict=False))
        parts.append(text_part(f"Choices:\n{listed}"))
    return {"role": "system", "content": prompt}, {"role": "user", "content": parts}


def _says_more_than_its_letters(choices: tuple[str, ...]) -> bool:
    return choices != tuple(LETTERS[: len(choices)])


def _trajectory(problem: Problem, sample: int, reply: Reply | EndpointError, grade: Grade) -> Trajectory:
    name = f"{problem.id}/{sample}"
    if isinstance(reply, EndpointError):
        return Trajectory(name, problem.id, sample, "", None, False, reason_of(reply), 0, 0.0)
    answer, correct = grade(reply.text, problem)
    dropped = "" if correct else "no answer" if answer is None else "wrong answer"
    tokens = reply.prompt_tokens + reply.completion_tokens
    return Trajectory(name, problem.id, sample, reply.text, answer, correct, dropped, tokens, reply.cost_usd)
