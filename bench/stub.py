"""A judge that answers after 200 ms, at most 256 at once,: its limit is 1,280 replies a second."""

import asyncio
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast
from urllib.parse import urlsplit

DELAY_S, PLACES = 0.2, 256
LIMIT = PLACES / DELAY_S
KEPT = 8192  # bytes of a request: its end, where the ids stand


class _Stub(asyncio.Protocol):
    """One kept connection of the stub: verdicts for whatever ids are asked for, after the delay.

    It keeps no more of a request than its end, so that the server is not what is measured.
    """

    free = PLACES
    waiting: ClassVar[deque["_Stub"]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Awaits a request."""
        self._transport, self._end, self._left = cast(asyncio.Transport, transport), b"", -1

    def data_received(self, data: bytes) -> None:
        """Counts what is still to come of the request."""
        self._end = (self._end + data)[-KEPT:] if self._left >= 0 else self._end + data
        if self._left < 0 and b"\r\n\r\n" in self._end:
            head, _, data = self._end.partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                return self._say(b'{"object": "list", "data": []}')
            self._left = int(head.lower().partition(b"content-length:")[2].split(maxsplit=1)[0])
        self._left -= len(data) if self._left >= 0 else 0
        if self._left == 0:
            _Stub.waiting.append(self)
            _Stub.take()
        return None

    @classmethod
    def take(cls) -> None:
        """Gives free places to who waits."""
        while cls.free and cls.waiting:
            cls.free -= 1
            asyncio.get_running_loop().call_later(DELAY_S, cls.waiting.popleft().answer)

    def answer(self) -> None:
        """Says it, and gives the place back."""
        _Stub.free += 1
        self._say(_completion(self._end))
        _Stub.take()

    def _say(self, said: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said)
        self._end, self._left = b"", -1
        self._transport.write(head + said)


def _completion(body: bytes) -> bytes:
    ids = body.rpartition(b"exactly these ids: ")[2].partition(b'"')[0].decode().split(", ")
    verdicts = [{"id": id, "verdict": "absent", "evidence": ""} for id in ids]
    message = {"role": "assistant", "content": json.dumps({"verdicts": verdicts})}
    usage = {"prompt_tokens": len(body) // 4, "completion_tokens": 20 * len(ids), "total_tokens": 0}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    said = {"id": "s", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(said).encode()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Stub, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def stub() -> Iterator[str]:
    """The address of a stub in a process of its own."""
    command = [sys.executable, "-m", "bench.stub"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


class _Bare(asyncio.Protocol):
    """One connection that sends the request again whenever a reply comes, while any are left."""

    left = 0
    all_came: ClassVar[asyncio.Future[None]]

    def __init__(self, request: bytes) -> None:
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Sends the next; the last PLACES replies have none."""
        _Bare.left -= 1
        if _Bare.left >= PLACES:
            self._transport.write(self._request)
        elif not _Bare.left:
            _Bare.all_came.set_result(None)


def bare(url: str, body: bytes, requests: int) -> None:
    """Sends the body so often over as many connections as there are places, and awaits all replies."""

    async def work() -> None:
        loop, where = asyncio.get_running_loop(), urlsplit(url)
        _Bare.left, _Bare.all_came = requests, loop.create_future()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: stub\r\nContent-Length: %d\r\n\r\n" % len(body)
        for _ in range(PLACES):
            await loop.create_connection(lambda: _Bare(head + body), where.hostname, where.port)
        await _Bare.all_came

    asyncio.run(work())


if __name__ == "__main__":
    asyncio.run(_serve())
