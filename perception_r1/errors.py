"""What can go wrong with the method itself; the store has a tree of its own (`storage.errors`).

PerceptionError                 one line that names the thing and the remedy
├── ConfigError                 a configuration that cannot be right (exit code 2)
├── BadProblem                  a problem that cannot be used: no image, an image that does not open, no answer
├── BudgetSpent                 no more may be asked for; what was answered is kept, and a larger budget goes on
├── GateFailed                  the judge is not good enough to train with
├── TrainingFailed              a run that must not go on: too few problems, a judge that fails too often
├── EvaluationFailed            questions that got no response, though asking again may help
├── ProcessFailed               a child process ended without its result; holds the end of its log
├── StageFailed                 a stage that did not finish: its name, its cause, and the command that goes on
└── EndpointError               what came instead of a reply; never a score
    ├── Refused                 what is asked is wrong, or the model will not say it: asking again would not help
    ├── Barred                  the server lets nobody in: the key, the address or the model's name is wrong
    ├── Unreachable             nobody answers at that address
    ├── TimedOut                no answer within the endpoint's timeout
    ├── RateLimited             too many requests, for longer than the retry budget lasts
    ├── ServerFailed            the server's own error (5xx), for longer than the retry budget lasts
    ├── Malformed               an answer that is not what was asked for
    └── Truncated               an answer that was cut off at the token limit
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

NO_VLLM = (
    "evaluate.generate_with = 'vllm' needs vLLM here ({}): pip install 'perception-r1[gpu]', or "
    "evaluate.generate_with = 'transformers'"
)


class PerceptionError(Exception):
    """The root; its message is meant for a person."""

    rows: Sequence[Mapping[str, object]] = ()  # what it is about: shown on the failed stage's page

    def about(self, rows: Iterable[Mapping[str, object]]) -> Self:
        """The error with the rows that it is about."""
        self.rows = list(rows)
        return self


class ConfigError(PerceptionError):
    """A configuration that cannot be right."""


class BadProblem(PerceptionError):
    """A problem that cannot be used."""


class BudgetSpent(PerceptionError):
    """The budget of tokens or money is spent."""


class GateFailed(PerceptionError):
    """The judge is not good enough to train with."""


class TrainingFailed(PerceptionError):
    """A run that must not go on."""


class EvaluationFailed(PerceptionError):
    """Questions that got no response, though asking again may help."""


class ProcessFailed(PerceptionError):
    """A child process ended without its result."""


class StageFailed(PerceptionError):
    """A stage that did not finish."""

    def __init__(self, stage: str, cause: BaseException, command: str) -> None:
        self.stage, self.cause, self.command = stage, cause, command
        super().__init__(f"{stage} failed: {cause or type(cause).__name__}\nGo on with: {command}")


class EndpointError(PerceptionError):
    """What came instead of a reply, and what that took: a reply that was cut off is paid for, too."""

    prompt_tokens = 0
    completion_tokens = 0
    cost_usd = 0.0

    def after(self, prompt_tokens: int, completion_tokens: int, cost_usd: float) -> "EndpointError":
        """The same with what it took."""
        self.prompt_tokens, self.completion_tokens, self.cost_usd = prompt_tokens, completion_tokens, cost_usd
        return self


class Refused(EndpointError):
    """What is asked is wrong, or the model will not say it."""


class Barred(EndpointError):
    """The server lets nobody in, whatever is asked."""


class Unreachable(EndpointError):
    """Nobody answers at that address."""


class TimedOut(EndpointError):
    """No answer within the timeout."""


class RateLimited(EndpointError):
    """Too many requests for longer than the retry budget lasts."""


class ServerFailed(EndpointError):
    """The server's own error for longer than the retry budget lasts."""


class Malformed(EndpointError):
    """An answer that is not what was asked for."""


class Truncated(EndpointError):
    """An answer that was cut off at the token limit."""
