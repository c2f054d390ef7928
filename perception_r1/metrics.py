"""What asking a model came to: how much, how fast, what it cost, and what went wrong."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from perception_r1.endpoints import Reply
from perception_r1.errors import EndpointError

KEPT = 4096  # of the latest latencies, for the quantiles


@dataclass(frozen=True, slots=True)
class Metrics:
    """One moment's account."""

    requests: int  # that were answered: by a reply, or by a failure
    shared: int  # further requests that took the reply of an equal one under way
    attempts: int  # what went over the wire, retries too
    replies: int
    failures: Mapping[str, int]  # by type
    prompt_tokens: int  # of failures too, where the server named them: they are paid for
    completion_tokens: int
    cost_usd: float
    p50_s: float  # of the latest replies
    p95_s: float
    replies_per_s: float  # from the first request to the latest answer


class Meter:
    """Counts answers; several threads may."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._latencies_s: deque[float] = deque(maxlen=KEPT)
        self._cost_usd = 0.0
        self._first_s = self._latest_s = 0.0

    def began(self) -> None:
        """Notes when the first request was made."""
        self._first_s = self._first_s or self._clock()

    def counted(self, what: str, times: int = 1) -> None:
        """Counts what is no answer: "attempts", "shared"."""
        with self._lock:
            self._counted[what] += times

    def answered(self, answer: Reply | EndpointError) -> None:
        """Counts an answer with what it took."""
        with self._lock:
            self._latest_s = self._clock()
            self._counted["prompt"] += answer.prompt_tokens
            self._counted["completion"] += answer.completion_tokens
            self._cost_usd += answer.cost_usd
            if isinstance(answer, EndpointError):
                self._failures[type(answer).__name__] += 1
            else:
                self._counted["replies"] += 1
                self._latencies_s.append(answer.latency_s)

    def metrics(self) -> Metrics:
        """The account so far."""
        with self._lock:
            counted, latencies_s = self._counted, sorted(self._latencies_s)
            took_s = self._latest_s - self._first_s
            return Metrics(
                requests=counted["replies"] + self._failures.total(),
                shared=counted["shared"],
                attempts=counted["attempts"],
                replies=counted["replies"],
                failures=dict(self._failures),
                prompt_tokens=counted["prompt"],
                completion_tokens=counted["completion"],
                cost_usd=self._cost_usd,
                p50_s=quantile(latencies_s, 0.5),
                p95_s=quantile(latencies_s, 0.95),
                replies_per_s=counted["replies"] / took_s if took_s > 0 else 0.0,
            )


def quantile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; 0 of none."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0
