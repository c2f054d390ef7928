"""The OpenAI protocol: one client on one event loop that lives as long as the endpoint does.

The loop has a thread of its own. A client that is used from several loops in turn fails when its kept connections
belong to a loop that is closed. Requests are taken from the iterable as places become free, so that pictures are
encoded when they are sent and never all held. We retry ourselves: openai's retries neither know our error types nor
end within one timeout.
"""

import asyncio
import email.utils
import os
import queue
import random
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any

from perception_r1 import sections
from perception_r1.endpoints import Reply, Request
from perception_r1.errors import (
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

if TYPE_CHECKING:
    import openai

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0  # between attempts, doubling
PATIENCE_S = 120.0  # a server that asks for a longer wait than this is not waited for
WORTH_ASKING_AGAIN = (Unreachable, TimedOut, RateLimited, ServerFailed, Malformed)
MILLION = 1_000_000

Answered = Reply | EndpointError


class WireEndpoint:
    """A model behind an OpenAI-compatible address."""

    def __init__(self, settings: sections.Endpoint) -> None:
        key = _key(settings)
        self._settings = settings
        self._chance = random.Random()  # spreads the attempts of many clients; no reply depends on it
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ask {settings.model}", daemon=True)
        self._thread.start()
        self._client = asyncio.run_coroutine_threadsafe(_client(settings, key), self._loop).result()

    @property
    def model(self) -> str:
        """Its name, as it is stored with what it said."""
        return self._settings.model

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answered]]:
        """The replies with the numbers of their requests, as they finish; a failure instead of a reply is returned."""
        done: queue.SimpleQueue[int] = queue.SimpleQueue()
        waiting = enumerate(requests)
        flying: dict[int, Future[Answered]] = {}
        free = self._settings.concurrency
        try:
            while True:
                for number, request in islice(waiting, free):
                    flying[number] = self._started(number, request, done)
                if not flying:
                    return
                finished = [(number, flying.pop(number)) for number in _landed(done)]
                free = len(finished)
                yield from ((number, future.result()) for number, future in finished)
        finally:  # whoever asked has lost interest, or a request could not be made
            for future in flying.values():
                future.cancel()

    def close(self) -> None:
        """Ends its connections."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _ended(self) -> None:
        """Ends what is still asked, then the client."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def _started(self, number: int, request: Request, done: "queue.SimpleQueue[int]") -> Future[Answered]:
        """The reply to be; its number comes out of the queue when it is there."""
        future = asyncio.run_coroutine_threadsafe(self._insisted(request), self._loop)
        future.add_done_callback(lambda _: done.put(number))
        return future

    async def _insisted(self, request: Request) -> Answered:
        """The reply of the last attempt."""
        attempt, (reply, told_s) = 0, await self._attempt(request)
        while isinstance(reply, WORTH_ASKING_AGAIN) and attempt < self._settings.retries and (told_s or 0) < PATIENCE_S:
            await asyncio.sleep(self._pause(attempt) if told_s is None else told_s)
            attempt, (reply, told_s) = attempt + 1, await self._attempt(request)
        return reply

    def _pause(self, attempt: int) -> float:
        """Seconds before the next attempt, where the server does not say."""
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**attempt) * self._chance.uniform(0.75, 1.0)

    async def _attempt(self, request: Request) -> tuple[Answered, float | None]:
        """One reply or failure, and how many seconds the server told us to wait."""
        import openai

        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.timeout_s):  # the client's own timeout is for each read
                said = await self._client.chat.completions.create(**_body(self.model, request))
        except TimeoutError:
            return TimedOut(f"{self._where} did not answer within {self._settings.timeout_s:g} s"), None
        except openai.APIStatusError as error:
            return _of_status(self._where, error), _told_to_wait_s(error.response.headers)
        except openai.APITimeoutError:
            return TimedOut(f"{self._where} did not answer within {self._settings.timeout_s:g} s"), None
        except openai.APIConnectionError as error:
            return Unreachable(f"{self._where} cannot be reached: {error.__cause__ or error}"), None
        except (openai.OpenAIError, ValueError) as error:  # a body that is no JSON, or not the JSON of a completion
            return Malformed(f"{self._where} sent no chat completion: {_short(str(error))}"), None
        return self._read(said, request, time.perf_counter() - started), None

    def _read(self, said: Any, request: Request, took_s: float) -> Answered:
        """What a completion says."""
        choices = getattr(said, "choices", None)  # a body of another content type comes as bare text
        if not choices or getattr(choices[0], "message", None) is None:
            return Malformed(f"{self._where} sent no chat completion: {_short(str(said))}")
        reason, message = choices[0].finish_reason, choices[0].message
        if reason == "length":
            return Truncated(f"{self.model} was cut off at {request.max_tokens} tokens; raise max_tokens")
        if reason == "content_filter" or getattr(message, "refusal", None):
            return Refused(f"{self.model} refuses to answer: {_short(message.refusal or reason)}")
        if not message.content:
            return Malformed(f"{self.model} sent an empty reply (finish_reason {reason})")
        asked, used = (said.usage.prompt_tokens, said.usage.completion_tokens) if said.usage else (0, 0)
        return Reply(message.content, asked, used, took_s, self._cost_usd(asked, used))

    def _cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        prices = self._settings
        asked = prompt_tokens * prices.usd_per_million_prompt_tokens
        return (asked + completion_tokens * prices.usd_per_million_completion_tokens) / MILLION

    @property
    def _where(self) -> str:
        return f"{self.model} at {self._settings.base_url}"


def _key(settings: sections.Endpoint) -> str:
    """The key out of the environment; a local server takes any."""
    if not settings.key_variable:
        return "none"
    key = os.environ.get(settings.key_variable, "").strip()
    if not key:
        raise ConfigError(
            f"the endpoint of {settings.model} at {settings.base_url} takes its key from the environment variable "
            f"{settings.key_variable}, which is not set; export it"
        )
    return key


async def _client(settings: sections.Endpoint, key: str) -> "openai.AsyncOpenAI":
    """A client that belongs to the running loop."""
    import openai

    return openai.AsyncOpenAI(api_key=key, base_url=settings.base_url, timeout=settings.timeout_s, max_retries=0)


def _landed(done: "queue.SimpleQueue[int]") -> list[int]:
    """The numbers of all replies that are there; waits for the first."""
    numbers = [done.get()]
    while not done.empty():
        numbers.append(done.get())
    return numbers


def _body(model: str, request: Request) -> dict[str, Any]:
    """The request as the protocol spells it."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [dict(message) for message in request.messages],
        "max_completion_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.schema is not None:
        schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _of_status(where: str, error: "openai.APIStatusError") -> EndpointError:
    """The failure that an HTTP status stands for."""
    told = f"{where} answered {error.status_code}: {_short(error.message)}"
    if error.status_code == 429:
        return RateLimited(told)
    if error.status_code == 408:
        return TimedOut(told)
    return ServerFailed(told) if error.status_code >= 500 or error.status_code == 409 else Refused(told)


def _told_to_wait_s(headers: Any) -> float | None:
    """The seconds of a Retry-After header, which may be a number or a date."""
    said = headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        date = email.utils.parsedate_tz(said)
    return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


def _short(text: str, longest: int = 200) -> str:
    """One line of a server's words."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[:longest]}…"
