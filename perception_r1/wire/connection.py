"""One connection to a server, straight or through a proxy, that carries a request and its answer, and then the next."""

import asyncio
import base64
import functools
import ipaddress
import ssl
import urllib.parse

from perception_r1.wire.answer import Answer, NotHttp, Reader, TooLong

JOINED = 64 * 1024  # bytes of a body that are cheaper to copy behind its head than to send by themselves
NEXT_ADDRESS_S = 0.25  # of a name that has several, as RFC 8305 has it


class Connection(asyncio.Protocol):
    """A connection that is used by one caller at a time."""

    def __init__(self) -> None:
        self.is_open = True
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._reader = Reader()

    async def asked(self, head: bytes, body: bytes = b"", tunnel: bool = False) -> Answer:
        """The answer; raises OSError. Whoever waits no longer has ended the connection."""
        assert self._transport
        self._reader = Reader(tunnel)
        self._waiting = asyncio.get_running_loop().create_future()
        if len(body) <= JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        try:
            return await self._waiting
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Speaks TLS from here on, behind a proxy that has made way."""
        assert self._transport
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(self._transport, self, context, server_hostname=host)

    def close(self) -> None:
        """Ends it at once."""
        self.is_open = False
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Notes what carries it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Reads on; what nobody asked for ends the connection."""
        if self._waiting is None or self._waiting.done():
            return self.close()
        try:
            answer = self._reader.read(data)
        except (NotHttp, TooLong) as error:
            self._waiting.set_exception(error)
            return self.close()
        if answer:
            self._waiting.set_result(answer)
            if not self._reader.stays:
                self.close()
        return None

    def connection_lost(self, error: Exception | None) -> None:
        """Ends the wait; an answer may end with its connection."""
        self.is_open = False
        if self._waiting is None or self._waiting.done():
            return
        answer = None if error else self._reader.ended()
        if answer:
            self._waiting.set_result(answer)
        else:
            lost = error if isinstance(error, OSError) else None
            self._waiting.set_exception(lost or ConnectionResetError("the server closed the connection"))


async def opened(url: urllib.parse.SplitResult, proxy: urllib.parse.SplitResult | None) -> Connection:
    """A connection to the server of a URL; raises OSError."""
    if proxy is None:
        return await _connected(url, url.scheme == "https")
    connection = await _connected(proxy, proxy.scheme == "https")
    if url.scheme == "https":
        await _through(connection, url, proxy)
    return connection


def host_and_port(url: urllib.parse.SplitResult) -> tuple[str, int]:
    """Where a URL's server listens."""
    return (url.hostname or "").encode("idna").decode(), url.port or (443 if url.scheme == "https" else 80)


def proxy_header(proxy: urllib.parse.SplitResult | None) -> str:
    """What tells a proxy who asks; empty where it does not want to know."""
    if proxy is None or proxy.username is None:
        return ""
    who = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(who.encode()).decode()}\r\n"


async def _connected(url: urllib.parse.SplitResult, secure: bool) -> Connection:
    loop = asyncio.get_running_loop()
    host, port = host_and_port(url)
    _, connection = await loop.create_connection(
        Connection,
        host,
        port,
        ssl=_context() if secure else None,
        server_hostname=host if secure else None,
        happy_eyeballs_delay=None if _is_address(host) else NEXT_ADDRESS_S,
    )
    return connection


def _is_address(host: str) -> bool:
    """Whether there is nothing to choose from; a race of one address takes as long again as to connect."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _through(connection: Connection, url: urllib.parse.SplitResult, proxy: urllib.parse.SplitResult) -> None:
    """Has the proxy make way, and speaks TLS with the server behind it."""
    host, port = host_and_port(url)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{proxy_header(proxy)}\r\n"
    answer = await connection.asked(head.encode(), tunnel=True)
    if answer.status != 200:
        connection.close()
        raise ConnectionRefusedError(f"the proxy {proxy.hostname} answered {answer.status}")
    try:
        await connection.secure(_context(), host)
    except BaseException:
        connection.close()
        raise


@functools.cache
def _context() -> ssl.SSLContext:
    """What TLS trusts: what the machine does, or SSL_CERT_FILE."""
    return ssl.create_default_context()
