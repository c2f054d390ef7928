"""A model behind an OpenAI-compatible address, as its callers hold it."""

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from queue import SimpleQueue

from perception_r1 import sections
from perception_r1.endpoints import Reply, Request, key_of
from perception_r1.errors import EndpointError, Malformed
from perception_r1.metrics import Metrics
from perception_r1.wire.line import Asked, Done, Line, Loop, Outcome
from perception_r1.wire.protocol import encoded, with_openai_error
from perception_r1.wire.transport import address

Answered = Reply | EndpointError


class WireEndpoint:
    """A model behind an address. Endpoints of equal settings share one line: its places, breaker and connections."""

    def __init__(self, settings: sections.Endpoint) -> None:
        self._settings = settings
        self._url = f"{address(settings)}/chat/completions"
        self._key = (settings, key_of(settings))
        self._line: Line | None = _lines.taken(*self._key)

    @property
    def model(self) -> str:
        """Its name, as it is stored with what it said."""
        return self._settings.model

    @property
    def metrics(self) -> Metrics:
        """What asking came to, over all endpoints that share the line."""
        return self._open_line().meter.metrics()

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answered]]:
        """The replies with the numbers of their requests, as they finish; a failure instead of a reply is returned.

        The next request is taken when a reply has been dealt with, so that pictures are never all held, and who is
        killed has at most as many requests without an answer that he kept as there are places.
        """
        line, waiting = self._open_line(), enumerate(requests)
        done: Done = SimpleQueue()
        flying = 0
        try:
            flying += self._submitted(line, islice(waiting, self._settings.concurrency), done)
            while flying:
                number, outcome = done.get()
                flying -= 1
                yield number, self._read(outcome)
                flying += self._submitted(line, islice(waiting, 1), done)
        finally:  # whoever asked has lost interest, or a request could not be made
            if flying:
                line.forget(done)

    def close(self) -> None:
        """Ends its connections, unless others share them."""
        line, self._line = self._line, None
        if line:
            _lines.given_back(*self._key)

    def _open_line(self) -> Line:
        if self._line is None:
            raise ValueError(f"the endpoint of {self.model} is closed")
        return self._line

    def _submitted(self, line: Line, requests: Iterable[tuple[int, Request]], done: Done) -> int:
        """How many requests were begun."""
        asked = [self._asked(number, request) for number, request in requests]
        if asked:
            line.submit(asked, done)
        return len(asked)

    def _asked(self, number: int, request: Request) -> Asked:
        repeatable = request.temperature == 0 or request.seed is not None
        return Asked(number, encoded(self.model, request), request.max_tokens, repeatable)

    def _read(self, outcome: Outcome | BaseException) -> Answered:
        if isinstance(outcome, BaseException):
            raise outcome
        reply, answer = outcome
        if isinstance(reply, EndpointError) and (
            answer is None or answer.status != 200 or isinstance(reply, Malformed)
        ):
            return with_openai_error(reply, answer, self._url)
        return reply


class _Lines:
    """The lines of this process, each with how many use it, on one loop."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew, as a forked child must: the loop's thread is its parent's."""
        self._guard = threading.Lock()
        self._loop: Loop | None = None
        self._lines: dict[tuple[sections.Endpoint, str], tuple[Line, int]] = {}

    def taken(self, settings: sections.Endpoint, key: str) -> Line:
        """The line for these settings, made if there is none."""
        with self._guard:
            line, users = self._lines.get((settings, key)) or (self._made(settings, key), 0)
            self._lines[settings, key] = line, users + 1
            return line

    def given_back(self, settings: sections.Endpoint, key: str) -> None:
        """Closes the line after its last user, and the loop after the last line."""
        with self._guard:
            line, users = self._lines.pop((settings, key))
            if users > 1:
                self._lines[settings, key] = line, users - 1
                return
            assert self._loop is not None
            asyncio.run_coroutine_threadsafe(line.close(), self._loop.loop).result()
            if not self._lines:
                self._loop.stop()
                self._loop = None

    def _made(self, settings: sections.Endpoint, key: str) -> Line:
        async def line() -> Line:
            return Line(settings, key)

        self._loop = self._loop or Loop()
        return asyncio.run_coroutine_threadsafe(line(), self._loop.loop).result()


_lines = _Lines()
os.register_at_fork(after_in_child=_lines.forget)
