"""The embedded models behind a small OpenAI-compatible server on loopback, with faults on order for tests of the wire.

python -m perception_r1.world.server --port 0        # prints http://127.0.0.1:PORT/v1

with serving(faults=[Fault(status=429, retry_after="0"), None]) as server:   # the first request fails, then none
    endpoint = open_endpoint(sections.Endpoint(model="embedded/teacher", base_url=server.url))
"""

import argparse
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from perception_r1.endpoints import Reply, Request
from perception_r1.errors import ConfigError, Truncated
from perception_r1.world.embedded import EMBEDDED, answer_of, answered, prompt_tokens

HOST = "127.0.0.1"
LARGEST = 64 * 1024 * 1024  # bytes of a request


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request; all of it happens that is set."""

    delay_s: float = 0.0
    status: int = 0  # an error instead of a reply
    retry_after: str = ""
    body: str | None = None  # sent with status 200 instead of a completion
    truncated: bool = False  # the reply ends at the token limit
    hang_up: bool = False  # the connection ends without a word
    reset: bool = False  # ... and is reset
    half: bool = False  # the connection ends in the middle of the reply
    drip_s: float = 0.0  # the reply comes in ten pieces with so long a pause after each


class Server(ThreadingHTTPServer):
    """The server with its faults and its counters."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, faults: Iterable[Fault | None], key: str) -> None:
        super().__init__((HOST, port), _Conversation)
        self.key = key  # the only one that is let in; empty: all are
        self.requests = 0
        self.most_at_once = 0
        self._at_once = 0
        self._faults = iter(faults)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """The base URL that a client needs."""
        return f"http://{HOST}:{self.server_address[1]}/v1"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begins a conversation on a connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Ends the kept connections too: a server that is gone answers on none."""
        super().server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def counted(self) -> Iterator[Fault]:
        """The fault of the next request, which is counted among those at once until it ends."""
        with self._lock:
            self.requests += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = next(self._faults, None) or Fault()
        try:
            yield fault
        finally:
            with self._lock:
                self._at_once -= 1


class _Conversation(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    _fault = Fault()

    def do_GET(self) -> None:
        """The models there are."""
        if self.path != "/v1/models":
            return self._refuse(404, f"there is no {self.path}")
        return self._send(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in EMBEDDED]})

    def do_POST(self) -> None:
        """A chat completion, or what is wrong with the request."""
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST:
            self.close_connection = True
            self._refuse(413, f"{length} bytes are too many")
            return
        content = self.rfile.read(length)
        with self.server.counted() as fault:
            time.sleep(fault.delay_s)
            with contextlib.suppress(ConnectionError):  # a client that has given up
                self._answer(content, fault)

    def _answer(self, content: bytes, fault: Fault) -> None:
        self._fault = fault
        if fault.hang_up or fault.reset:
            self._end(fault.reset)
        elif fault.status:
            self._refuse(fault.status, "a fault that was ordered", fault.retry_after)
        elif fault.body is not None:
            self._send_text(200, fault.body)
        elif self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self._refuse(401, "the key is wrong")
        elif self.path != "/v1/chat/completions":
            self._refuse(404, f"there is no {self.path}")
        else:
            self._complete(content, fault)

    def _complete(self, content: bytes, fault: Fault) -> None:
        try:
            body = json.loads(content)
            request, answer = _request(body), answer_of(body["model"])
            said = answered(answer, request)
        except ConfigError as error:
            return self._refuse(404, str(error))
        except (ValueError, KeyError, TypeError) as error:
            return self._refuse(400, f"this is no chat completion request: {error!r}")
        if isinstance(said, Truncated) or fault.truncated:
            return self._send(200, _completion(body["model"], "", "length", prompt_tokens(request), request.max_tokens))
        if not isinstance(said, Reply):
            return self._refuse(400, str(said))
        return self._send(
            200, _completion(body["model"], said.text, "stop", said.prompt_tokens, said.completion_tokens)
        )

    def _refuse(self, status: int, message: str, retry_after: str = "") -> None:
        self._send(status, {"error": {"message": message, "type": "error", "code": status}}, retry_after)

    def _send(self, status: int, body: dict[str, Any], retry_after: str = "") -> None:
        self._send_text(status, json.dumps(body), retry_after)

    def _send_text(self, status: int, text: str, retry_after: str = "") -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        if self._fault.half:
            self.wfile.write(data[: len(data) // 2])
            return self._end(reset=False)
        for piece in _pieces(data) if self._fault.drip_s else [data]:
            self.wfile.write(piece)
            time.sleep(self._fault.drip_s)
        return None

    def _end(self, reset: bool) -> None:
        """Ends the connection; reset, the other side loses what it has not read."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a line for each request would be most of a log."""


def _pieces(data: bytes) -> list[bytes]:
    """Ten pieces of it."""
    size = -(-len(data) // 10)
    return [data[start : start + size] for start in range(0, len(data), size)]


def _request(body: dict[str, Any]) -> Request:
    """A request as the protocol spells it, as ours."""
    wanted = body.get("response_format") or {}
    return Request(
        messages=tuple(dict(message) for message in body["messages"]),
        max_tokens=int(body.get("max_completion_tokens") or body.get("max_tokens") or 1024),
        temperature=float(body.get("temperature") or 0.0),
        seed=body.get("seed"),
        schema=wanted["json_schema"]["schema"] if wanted.get("type") == "json_schema" else None,
    )


def _completion(model: str, text: str, reason: str, asked: int, said: int) -> dict[str, Any]:
    """A chat completion as the protocol spells it."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "embedded",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


@contextlib.contextmanager
def serving(port: int = 0, faults: Iterable[Fault | None] = (), key: str = "") -> Iterator[Server]:
    """A server that answers while the context lasts; the faults meet the requests in the order of their arrival."""
    with Server(port, faults, key) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description="The embedded models behind an OpenAI-compatible address.")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--key", default="", help="the only key that is let in; none: all are")
    options = parser.parse_args()
    with Server(options.port, (), options.key) as server, contextlib.suppress(KeyboardInterrupt):
        print(server.url, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
