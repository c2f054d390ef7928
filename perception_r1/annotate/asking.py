"""Asking a model many things, each of them once: what is in the journal is not asked again.

A reply that is unfit (empty, cut off, refused, not in the form that was asked for) is asked for again with another
seed, a few times; then its failure stands. A failure to get any reply is not kept: the next process tries again,
and where there are more of them than are tolerated it must: what is made of a bad night would be found ever after.
When the budget is spent nothing more is sent, what is under way is waited for and kept, and BudgetSpent is raised.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from perception_r1.annotate.journal import Journal, Outcome
from perception_r1.endpoints import Endpoint, Reply, Request
from perception_r1.errors import (
    Barred,
    BudgetSpent,
    ConfigError,
    EndpointError,
    Malformed,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Truncated,
    Unreachable,
)

UNFIT = (Malformed, Truncated, Refused)  # said by a model, and worth another attempt
SILENT = (Unreachable, Barred, TimedOut, RateLimited, ServerFailed)  # said by nobody, and may pass

Watch = Callable[[int, int], None]  # done, total
Fit = Callable[[Reply], Outcome]  # the reply, or what is wrong with it


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by its key; the request is made when it is sent."""

    key: str
    make: Callable[[int], Request]  # of an attempt: 0, 1, ...


@dataclass(slots=True)
class Bill:
    """What was used so far, and how much may be."""

    most_tokens: int = 0  # 0: no limit
    most_usd: float = 0.0
    requests: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    tokens_before: int = 0  # used on the same budget by others
    usd_before: float = 0.0

    @property
    def tokens(self) -> int:
        """All that were used on the budget."""
        return self.tokens_before + self.prompt_tokens + self.completion_tokens

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be asked."""
        return 0 < self.most_tokens <= self.tokens or 0 < self.most_usd <= self.usd_before + self.usd

    @property
    def has_limit(self) -> bool:
        """Whether there is anything to be spent."""
        return self.most_tokens > 0 or self.most_usd > 0

    def add(self, outcome: Outcome, *, is_failure: bool) -> None:
        """Counts a reply; one that is of no use is paid for, too."""
        self.requests += 1
        self.failures += is_failure
        self.prompt_tokens += outcome.prompt_tokens
        self.completion_tokens += outcome.completion_tokens
        self.usd += outcome.cost_usd


@dataclass(slots=True)
class Asker:
    """A model, the journal of what it said, and the bill."""

    endpoint: Endpoint
    journal: Journal
    bill: Bill
    attempts: int
    fit: Fit
    tolerated: float = 1.0  # share of the requests that may stay without a reply
    unfit: int = 0  # replies that another attempt may better
    silent: list[EndpointError] = field(default_factory=list)

    def __post_init__(self) -> None:
        for outcome in self.journal:  # what an earlier process has paid for
            self._count(outcome)

    def ask(self, questions: Iterable[Question], total: int, watch: Watch | None = None) -> None:
        """Asks what is not answered yet; the questions are gone through once an attempt.

        Raises BudgetSpent; and the last failure, where more requests than are tolerated got no reply.
        """
        for attempt in range(self.attempts):
            if attempt and not self.unfit:
                break
            for done in self._asked(questions, attempt):
                if watch:
                    watch(min(done, total), total)
            if self.bill.is_spent and any(self._is_open(question, attempt) for question in questions):
                raise BudgetSpent(self._told(total))
        if len(self.silent) > self.tolerated * total:
            raise type(self.silent[-1])(
                f"{len(self.silent):,} of {total:,} requests got no reply, the last: {self.silent[-1]}; every answer "
                "is kept; give the same command again when it is back, or raise annotate.max_unanswered to go without"
            )

    def outcome(self, key: str) -> Outcome:
        """The first fit reply to a question, or what came instead at the last attempt."""
        said: Outcome = Malformed("nobody asked")
        for attempt in range(self.attempts):
            if (one := _at(key, attempt)) not in self.journal:
                break
            kept = self.journal[one]
            said = self.fit(kept) if isinstance(kept, Reply) else kept
            if not isinstance(said, UNFIT):
                break
        return said

    def _asked(self, questions: Iterable[Question], attempt: int) -> Iterator[int]:
        """Sends one round; yields how many are done after each reply."""
        sent: list[str] = []
        for number, outcome in self.endpoint.ask(self._requests(questions, attempt, sent)):
            self.journal.add(sent[number], outcome, keep=isinstance(outcome, Reply | Malformed | Truncated))
            self._count(outcome)
            self.silent += [outcome] if isinstance(outcome, SILENT) else []
            if self.bill.has_limit and isinstance(outcome, Reply) and not outcome.prompt_tokens:
                raise ConfigError(
                    f"{self.endpoint.model} does not say how many tokens it took (no usage in its replies), so that no "
                    "budget can be kept; leave annotate.budget_tokens and annotate.budget_usd out, or ask another"
                )
            yield len(self.journal)

    def _count(self, outcome: Outcome) -> None:
        read = self.fit(outcome) if isinstance(outcome, Reply) else outcome
        self.bill.add(outcome, is_failure=isinstance(read, EndpointError))
        self.unfit += isinstance(read, UNFIT)

    def _requests(self, questions: Iterable[Question], attempt: int, sent: list[str]) -> Iterator[Request]:
        """One at a time: pictures are encoded when they are sent. What is asked twice is sent once."""
        flying: set[str] = set()
        for question in questions:
            key = _at(question.key, attempt)
            if key in flying or not self._is_open(question, attempt):
                continue
            if self.bill.is_spent:
                return
            flying.add(key)
            sent.append(key)
            yield question.make(attempt)

    def _is_open(self, question: Question, attempt: int) -> bool:
        """Whether this attempt is called for and was not made yet."""
        if _at(question.key, attempt) in self.journal:
            return False
        return not attempt or isinstance(self.outcome(question.key), UNFIT)

    def _told(self, total: int) -> str:
        limits = [f"{self.bill.most_tokens:,} tokens"] * bool(self.bill.most_tokens)
        limits += [f"{self.bill.most_usd:,.2f} USD"] * bool(self.bill.most_usd)
        used = f"{self.bill.tokens:,} tokens and {self.bill.usd_before + self.bill.usd:,.2f} USD"
        return (
            f"the budget of {' or '.join(limits)} is spent ({used}): {self.endpoint.model} has answered "
            f"{len(self.journal):,} of {total:,} requests, and every answer is kept; raise annotate.budget_tokens or "
            "annotate.budget_usd and give the same command again"
        )


def _at(key: str, attempt: int) -> str:
    """The key of one attempt in the journal."""
    return f"{key}.{attempt}"
