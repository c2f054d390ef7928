"""The way to one server, on the event loop that all endpoints of this process share.

Its places bound what is under way at once, whoever asks; waiting between attempts takes no place. A request equal to
one under way takes that one's reply, unless it asks for chance. We retry ourselves: openai's retries neither know our
error types nor end within one patience.
"""

import asyncio
import functools
import itertools
import random
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from perception_r1 import sections
from perception_r1.endpoints import Reply
from perception_r1.errors import EndpointError, Malformed, RateLimited, ServerFailed, TimedOut, Unreachable
from perception_r1.metrics import Meter
from perception_r1.wire.answer import Answer
from perception_r1.wire.breaker import Breaker
from perception_r1.wire.protocol import read, told_to_wait_s
from perception_r1.wire.transport import Transport

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0  # between attempts, doubling
SILENT_S = 15.0  # a server that was not found may be there after so long; until then nobody waits for it again
START_S = 4.0  # for a server to be found at the start: one that is dead must be known within 10 seconds
WORTH_ASKING_AGAIN = (Unreachable, TimedOut, RateLimited, ServerFailed, Malformed)

Outcome = tuple[Reply | EndpointError, Answer | None]  # with what came over the wire, if anything did
Done = SimpleQueue[tuple[int, Outcome | BaseException]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way: its number at the caller's, its body, and what the answer is read with."""

    number: int
    body: bytes
    max_tokens: int
    repeatable: bool  # equal requests have equal replies


@dataclass(slots=True)
class _Flight:
    """A request under way, and who waits for it."""

    task: asyncio.Task[Outcome]
    waiting: list[tuple[Done, int]] = field(default_factory=list)


class Loop:
    """An event loop in a thread of its own, which ends with its last user."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="wire", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Line:
    """What is shared by all who ask one server: made on the loop, and used there but for `submit` and `forget`."""

    def __init__(self, settings: sections.Endpoint, key: str) -> None:
        self.meter = Meter()
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._transport = Transport(settings, key)
        self._places = asyncio.Semaphore(settings.concurrency)
        self._breaker = Breaker()
        self._flights: dict[bytes | int, _Flight] = {}
        self._submitted = deque[tuple[list[Asked], Done]]()
        self._woken = False
        self._greeting: asyncio.Task[EndpointError | None] | None = None
        self._greeted_at = 0.0
        self._chance = random.Random()  # spreads the attempts of many clients; no reply depends on it

    def submit(self, asked: list[Asked], done: Done) -> None:
        """Begins the requests; the queue gets each one's number and outcome."""
        self._submitted.append((asked, done))
        if not self._woken:  # to wake the loop takes as long as to begin a request
            self._woken = True
            self._loop.call_soon_threadsafe(self._begin_all)

    def forget(self, done: Done) -> None:
        """Ends what nobody but this queue waits for."""
        self._loop.call_soon_threadsafe(self._abandon, done)

    async def close(self) -> None:
        """Ends what is still asked, then the connections."""
        tasks: list[asyncio.Task[Any]] = [flight.task for flight in self._flights.values()]
        tasks += [self._greeting] if self._greeting else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close()

    def _begin_all(self) -> None:
        self._woken = False  # first: what is submitted from here on wakes the loop again
        while self._submitted:
            self._begin(*self._submitted.popleft())

    def _begin(self, asked: Iterable[Asked], done: Done) -> None:
        self.meter.began()
        for request in asked:
            same = self._flights.get(request.body) if request.repeatable else None
            if same:
                self.meter.counted("shared")
                same.waiting.append((done, request.number))
                continue
            task = self._loop.create_task(self._insisted(request))
            key = request.body if request.repeatable else id(task)
            self._flights[key] = _Flight(task, [(done, request.number)])
            task.add_done_callback(functools.partial(self._land, key))

    def _land(self, key: bytes | int, task: "asyncio.Task[Outcome]") -> None:
        """Tells all who wait how it ended; nobody may wait for ever, whatever went wrong."""
        closed: Outcome = (Unreachable(f"{self._settings.model} was closed while it was asked"), None)
        outcome = closed if task.cancelled() else task.exception() or task.result()
        for done, number in self._flights.pop(key).waiting:
            done.put((number, outcome))

    def _abandon(self, done: Done) -> None:
        for flight in list(self._flights.values()):
            flight.waiting = [waiter for waiter in flight.waiting if waiter[0] is not done]
            if not flight.waiting:
                flight.task.cancel()

    async def _insisted(self, request: Asked) -> Outcome:
        """The outcome of the last attempt that the settings allow."""
        deadline = self._now() + self._settings.patience_s
        if failure := await self._greeted():
            return self._counted(failure, None)
        for attempt in itertools.count():
            if refusal := await self._admitted(deadline):
                return self._counted(refusal, None)
            reply, answer = await self._attempt(request)
            told_s = told_to_wait_s(answer.headers) if answer else None
            wait_s = pause_s(attempt, self._chance) if told_s is None else told_s
            if self._is_final(reply, attempt) or self._now() + wait_s > deadline:
                return self._counted(reply, answer)
            await asyncio.sleep(wait_s)
        raise AssertionError

    def _is_final(self, reply: Reply | EndpointError, attempt: int) -> bool:
        """Whether asking again would not help; while a server is away, attempts do not count."""
        waits = self._breaker.is_open and self._waited_for()
        return not isinstance(reply, WORTH_ASKING_AGAIN) or (attempt >= self._settings.retries and not waits)

    def _counted(self, reply: Reply | EndpointError, answer: Answer | None) -> Outcome:
        self.meter.answered(reply)
        return reply, answer

    async def _attempt(self, request: Asked) -> Outcome:
        """One reply or failure."""
        async with self._places:
            started = self._now()
            self.meter.counted("attempts")
            try:
                answer = await self._transport.post(request.body)
            except EndpointError as failure:
                self._breaker.heard(failure, self._now())
                return failure, None
        reply = read(answer, self._settings, request.max_tokens, self._now() - started)
        self._breaker.heard(reply if isinstance(reply, EndpointError) else None, self._now())
        return reply, answer

    async def _admitted(self, deadline: float) -> EndpointError | None:
        """None as soon as the server may be asked; why not, if it is down and was never up, or for too long."""
        while wait_s := self._breaker.wait_s(self._now()):
            if not self._waited_for() or self._now() + wait_s > deadline:
                return self._breaker.refusal(self._now())
            await asyncio.sleep(wait_s)
        return None

    def _waited_for(self) -> bool:
        """Whether a server that is down may come back: it was up, and has not been away for too long."""
        return self._breaker.spoke and self._breaker.down_s(self._now()) < self._settings.patience_s

    async def _greeted(self) -> EndpointError | None:
        """None where somebody answers at the address, asked once for many; a dead server must be known in seconds."""
        known = self._greeting and self._greeting.done() and not self._greeting.cancelled() and self._greeting.result()
        if self._greeting is None or (known and self._now() > self._greeted_at + SILENT_S):
            self._greeting, self._greeted_at = self._loop.create_task(self._greet()), self._now()
        return self._greeting.result() if self._greeting.done() else await asyncio.shield(self._greeting)

    async def _greet(self) -> EndpointError | None:
        started, attempt = self._now(), 0
        while True:
            try:
                await self._transport.hello()
                return None
            except EndpointError as failure:
                wait_s, attempt = pause_s(attempt, self._chance), attempt + 1
                if attempt > self._settings.retries or self._now() + wait_s - started > START_S:
                    return Unreachable(f"{failure}. Is the server running and loaded, and is base_url right?")
            await asyncio.sleep(wait_s)

    def _now(self) -> float:
        return self._loop.time()


def pause_s(attempt: int, chance: random.Random) -> float:
    """Seconds before the next attempt, where the server does not say; spread, so that many clients do not meet."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**attempt) * chance.uniform(0.75, 1.0)
