"""Bytes over HTTP: the one file that knows what carries them.

Measured on one core with 256 to 512 requests at once (bench/judge.py): openai's transport takes 3.9 to 4.4 ms of CPU a
request, its aiohttp adapter 1.5 to 1.9, aiohttp alone 0.3 to 0.4, a bare asyncio protocol 0.1.
"""

import asyncio
import urllib.parse
import urllib.request

from perception_r1 import sections
from perception_r1.errors import ConfigError, Malformed, TimedOut, Unreachable
from perception_r1.wire.answer import LARGEST, Answer, TooLong
from perception_r1.wire.connection import Connection, host_and_port, opened, proxy_header

KEPT_OPEN_S = 4.0  # uvicorn, and so vLLM, closes idle connections after 5: one that is used just then is lost
HELLO_S = 4.0  # for a server to say anything at all
SAFE = "/:@!$&'()*+,;=%~"  # of a path, what stands as it is


class Transport:
    """Kept connections to one server; made and used on one event loop."""

    def __init__(self, settings: sections.Endpoint, key: str) -> None:
        self._settings = settings
        self._url = urllib.parse.urlsplit(address(settings))
        self._proxy = _proxy(self._url)
        self._where = f"{settings.model} at {address(settings)}"
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._loop = asyncio.get_running_loop()
        post = self._head("POST", "chat/completions", key) + "Content-Type: application/json\r\nContent-Length: "
        self._post, self._get = post.encode(), f"{self._head('GET', 'models', key)}\r\n".encode()

    async def post(self, body: bytes) -> Answer:
        """The answer to a completion request; raises Unreachable, TimedOut or Malformed."""
        return await self._sent(b"%s%d\r\n\r\n" % (self._post, len(body)), body, self._settings.timeout_s)

    async def hello(self) -> Answer:
        """The answer to a question that costs the server nothing; raises as `post` does."""
        return await self._sent(self._get, b"", min(HELLO_S, self._settings.timeout_s))

    async def close(self) -> None:
        """Ends the connections."""
        for connection in self._open:
            connection.close()
        await asyncio.sleep(0)  # for them to hear of it

    async def _sent(self, head: bytes, body: bytes, timeout_s: float) -> Answer:
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._taken()
                answer = await connection.asked(head, body)
        except TooLong:
            raise Malformed(f"{self._where} sent more than {LARGEST >> 20} MiB, which is no chat completion") from None
        except TimeoutError:
            raise TimedOut(f"{self._where} did not answer within {timeout_s:g} s") from None
        except OSError as error:
            raise Unreachable(f"{self._where} cannot be reached: {_said(error)}") from None
        if connection.is_open:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        return answer

    async def _taken(self) -> Connection:
        """A connection that nobody uses: the one that was used last, or a new one."""
        oldest = self._loop.time() - KEPT_OPEN_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since > oldest:
                return connection
            connection.close()
        self._open = {connection for connection in self._open if connection.is_open}
        connection = await self._connected()
        self._open.add(connection)
        return connection

    async def _connected(self) -> Connection:
        limit_s = self._settings.connect_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await opened(self._url, self._proxy)
        except TimeoutError:
            raise ConnectionError(f"no connection within {limit_s:g} s") from None

    def _head(self, method: str, path: str, key: str) -> str:
        """What begins a request, but for what each one has of its own."""
        host, port = host_and_port(self._url)
        named = f"[{host}]" if ":" in host else host
        where = named if self._url.port is None else f"{named}:{port}"
        target = urllib.parse.quote(f"{self._url.path}/{path}", safe=SAFE) + (
            f"?{query}" if (query := self._url.query) else ""
        )
        plainly = self._proxy if self._url.scheme == "http" else None  # TLS goes through it unread
        return (
            f"{method} {f'http://{where}' if plainly else ''}{target} HTTP/1.1\r\nHost: {where}\r\n"
            f"Authorization: Bearer {key}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
            f"User-Agent: perception-r1\r\n{proxy_header(plainly)}"
        )


def address(settings: sections.Endpoint) -> str:
    """The base URL without its last slash; raises ConfigError where it is no address."""
    try:
        parts = urllib.parse.urlsplit(settings.base_url)
        (parts.hostname or "").encode("idna")
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket without its other, a name that cannot be one
        known = False
    if not known:
        raise ConfigError(
            f"the base_url of {settings.model} is {settings.base_url!r}; it must be like http://localhost:8000/v1"
        )
    return settings.base_url.rstrip("/")


def _proxy(url: urllib.parse.SplitResult) -> urllib.parse.SplitResult | None:
    """The proxy that the environment names for the address, if any."""
    named = urllib.request.getproxies().get(url.scheme)
    if not named or urllib.request.proxy_bypass(url.hostname or ""):
        return None
    proxy = urllib.parse.urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise ConfigError(
            f"the environment names the proxy {named!r} for {url.scheme}; it must be like http://host:3128"
        )
    return proxy


def _said(error: BaseException) -> str:
    """An error's words, or its kind where it has none."""
    return str(error) or type(error).__name__
