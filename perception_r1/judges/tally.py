"""What judging came to: who decided how much, what the requests took, and how healthy the replies were."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from perception_r1.endpoints import Reply
from perception_r1.errors import EndpointError
from perception_r1.metrics import Meter, Metrics
from perception_r1.records import Verdict


@dataclass(frozen=True, slots=True)
class Counts:
    """One moment's account of a judge."""

    wanted: int  # verdicts
    settled: int  # without any part to judge: empty, cut off
    cached: int
    matched: int
    shared: int  # equal to another of the same call
    asked: int  # of the model
    unread: int  # that a reply should have given and did not
    asked_again: int
    unhealthy: int  # replies that did not give every verdict that they were asked for
    requests: Metrics


@dataclass(slots=True)
class Tally:
    """Counts as a judge works; several threads may."""

    meter: Meter = field(default_factory=Meter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counted: Counter[str] = field(default_factory=Counter)

    def began(self, wanted: int, settled: int, cached: int, different: int) -> None:
        """Notes what a call wants, and how much of it is known already."""
        with self._lock:
            self.meter.began()
            self._counted.update(wanted=wanted, settled=settled, cached=cached, shared=wanted - settled - different)

    def matched(self, verdicts: int) -> None:
        """Notes what the matcher decided."""
        with self._lock:
            self._counted.update(matched=verdicts)

    def remembered(self, verdicts: int) -> None:
        """Notes verdicts on responses that were judged before."""
        with self._lock:
            self._counted.update(wanted=verdicts, cached=verdicts)

    def answered(self, reply: Reply | EndpointError, verdicts: Sequence[Verdict], attempt: int) -> None:
        """Notes what a request brought."""
        self.meter.answered(reply)
        unread = verdicts.count("unknown")
        healthy = not unread or isinstance(reply, EndpointError)
        with self._lock:
            self._counted.update(unread=unread, asked_again=attempt, unhealthy=not healthy)
            self._counted["asked"] += 0 if attempt else len(verdicts)

    def counts(self) -> Counts:
        """The account so far."""
        with self._lock:
            counted = {name: self._counted[name] for name in _NAMES}
        return Counts(**counted, requests=self.meter.metrics())


_NAMES = ("wanted", "settled", "cached", "matched", "shared", "asked", "unread", "asked_again", "unhealthy")
