"""Bytes over HTTP: the one file that knows what carries them.

Measured on one core with 512 requests at once (bench/judge.py): openai's transport takes 3.9 to 4.4 ms of CPU a
request, its aiohttp adapter 1.5 to 1.9, aiohttp alone 0.3.
"""

import io
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perception_r1 import sections
from perception_r1.errors import ConfigError, EndpointError, Malformed, TimedOut, Unreachable

if TYPE_CHECKING:
    import aiohttp

LARGEST = 32 * 1024 * 1024  # bytes of an answer; no completion is that long
KEPT_OPEN_S = 4.0  # uvicorn, and so vLLM, closes idle connections after 5: one that is used just then is lost
HELLO_S = 4.0  # for a server to say anything at all


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Kept connections to one server; made and used on one event loop."""

    def __init__(self, settings: sections.Endpoint, key: str) -> None:
        import aiohttp
        import yarl

        self._settings = settings
        self._base = address(settings)
        self._failures = aiohttp.ClientError
        self._refusals: tuple[type[BaseException], ...] = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError)
        self._where = f"{settings.model} at {self._base}"
        self._urls = {path: yarl.URL(f"{self._base}/{path}") for path in ("chat/completions", "models")}
        self._timeouts = {
            seconds: aiohttp.ClientTimeout(total=seconds, sock_connect=settings.connect_timeout_s)
            for seconds in (settings.timeout_s, min(HELLO_S, settings.timeout_s))
        }
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_OPEN_S),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            proxy=_proxy(self._base),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(self, body: bytes) -> Answer:
        """The answer to a completion request; raises Unreachable, TimedOut or Malformed."""
        return await self._sent("POST", "chat/completions", body, self._settings.timeout_s)

    async def hello(self) -> Answer:
        """The answer to a question that costs the server nothing; raises as `post` does."""
        return await self._sent("GET", "models", b"", min(HELLO_S, self._settings.timeout_s))

    async def close(self) -> None:
        """Ends the connections."""
        await self._session.close()

    async def _sent(self, method: str, path: str, body: bytes, timeout_s: float) -> Answer:
        try:
            async with self._session.request(
                method, self._urls[path], data=_sendable(body), timeout=self._timeouts[timeout_s]
            ) as answer:
                return Answer(answer.status, answer.headers, await _whole(answer, self._where))
        except self._refusals as error:
            raise Unreachable(f"{self._where} cannot be reached: {_said(error)}") from None
        except TimeoutError:
            raise TimedOut(f"{self._where} did not answer within {timeout_s:g} s") from None
        except self._failures as error:
            raise Unreachable(f"{self._where} cannot be reached: {_said(error)}") from None


def address(settings: sections.Endpoint) -> str:
    """The base URL without its last slash; raises ConfigError where it is no address."""
    parts = urllib.parse.urlsplit(settings.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"the base_url of {settings.model} is {settings.base_url!r}; it must be like http://localhost:8000/v1"
        )
    return settings.base_url.rstrip("/")


async def _whole(answer: "aiohttp.ClientResponse", where: str) -> bytes:
    """The body to its end, or to the limit."""
    if answer.content_length is not None:
        if answer.content_length > LARGEST:
            raise _too_long(where)
        return await answer.read()
    chunks, size = [], 0
    async for chunk in answer.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST:
            raise _too_long(where)
    return b"".join(chunks)


def _sendable(body: bytes) -> bytes | io.BytesIO | None:
    """The body as aiohttp wants it: a long one in pieces, so that the others are not held up."""
    return io.BytesIO(body) if len(body) > 1 << 20 else body or None


def _too_long(where: str) -> EndpointError:
    return Malformed(f"{where} sent more than {LARGEST >> 20} MiB, which is no chat completion")


def _proxy(base: str) -> str | None:
    """The proxy that the environment names for the address, if any."""
    parts = urllib.parse.urlsplit(base)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _said(error: BaseException) -> str:
    """An error's words, or its kind where it has none."""
    return str(error) or type(error).__name__
