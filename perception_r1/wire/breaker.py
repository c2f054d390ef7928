"""A server that fails and fails is left alone for a while; then one request tries it, and the rest follow."""

from perception_r1.errors import EndpointError, RateLimited, ServerFailed, TimedOut, Unreachable

DOWN = (Unreachable, TimedOut, ServerFailed)
ROW, SPAN_S = 5, 3.0  # so many failures in a row, over so long, open it: a hiccup of 256 requests at once does not
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0  # between trials, doubling


class Breaker:
    """Whether a server is asked. Times are of a clock that only goes forward, given with each call."""

    def __init__(self) -> None:
        self.spoke = False  # a model has answered here: the server may come back
        self.last: EndpointError | None = None
        self._row = 0
        self._since = self._next_trial = 0.0
        self._pause_s = 0.0  # 0: closed

    @property
    def is_open(self) -> bool:
        """Whether requests are kept from the server."""
        return self._pause_s > 0

    def down_s(self, now: float) -> float:
        """For how long nothing but failures has come."""
        return now - self._since if self._row else 0.0

    def wait_s(self, now: float) -> float:
        """0 where the server may be asked now; while it is open, the first to come after a pause is the trial."""
        if not self.is_open:
            return 0.0
        if now < self._next_trial:
            return self._next_trial - now
        self._next_trial = now + self._pause_s
        return 0.0

    def heard(self, failure: EndpointError | None, now: float) -> None:
        """Notes how an attempt ended: with a failure, or with an answer."""
        if not isinstance(failure, DOWN):
            self._row, self._pause_s = 0, 0.0
            self.spoke |= not isinstance(failure, RateLimited)
            return
        self.last = failure
        self._since = self._since if self._row else now
        self._row += 1
        if self.is_open:
            self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
            self._next_trial = now + self._pause_s
        elif self._row >= ROW and now - self._since >= SPAN_S:
            self._pause_s, self._next_trial = FIRST_PAUSE_S, now + FIRST_PAUSE_S

    def refusal(self, now: float) -> Unreachable:
        """Why it is not asked."""
        return Unreachable(
            f"{self.last}; {self._row} requests in a row failed for {self.down_s(now):.0f} s, so it is left alone and "
            "tried again now and then. Is the server running, and is base_url right?"
        )
