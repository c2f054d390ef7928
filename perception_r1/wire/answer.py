"""What a server answers over HTTP/1.1, read as it comes, whatever pieces it comes in.

    reader = Reader()
    reader.read(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{")    # None: more is to come
    reader.read(b"}")                                                  # Answer(200, {"content-length": "2"}, b"{}")

What is no HTTP is never taken for an answer: it raises NotHttp, which says what came instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LARGEST = 32 * 1024 * 1024  # bytes of an answer; no completion is that long
LONGEST_HEAD = 64 * 1024  # bytes of a status line and its headers, of a chunk's size, and of what follows the chunks
HEX = frozenset(b"0123456789abcdefABCDEF")


class NotHttp(OSError):
    """What came is no answer."""


class TooLong(OSError):
    """An answer beyond LARGEST."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever it says; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reader:
    """One answer on its way."""

    def __init__(self, tunnel: bool = False) -> None:
        self.stays = False  # whether the connection may be used again after the answer
        self._tunnel = tunnel  # an answer to CONNECT has no body: what follows is not the proxy's
        self._came = bytearray()
        self._chunks: list[bytes] = []
        self._size = 0
        self._head: tuple[int, dict[str, str]] | None = None

    def read(self, data: bytes) -> Answer | None:
        """The answer, once it is whole; raises NotHttp and TooLong."""
        self._came += data
        while self._head is None:
            end = self._came.find(b"\r\n\r\n")
            if end < 0:
                self._check_beginning()
                return None
            self._read_head(bytes(self._came[:end]))
            del self._came[: end + 4]
        return self._whole(*self._head)

    def ended(self) -> Answer | None:
        """The answer where it was to end with the connection; None where it was cut off."""
        if self._head is None or "transfer-encoding" in self._head[1] or "content-length" in self._head[1]:
            return None
        return Answer(*self._head, bytes(self._came))

    def _check_beginning(self) -> None:
        if len(self._came) > LONGEST_HEAD or not b"HTTP/1.".startswith(self._came[:7]):
            raise NotHttp(f"what came is no HTTP/1.1: {bytes(self._came[:60])!r}")

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = first.partition(" ")
        if not version.startswith("HTTP/1.") or not (status[:3].isdecimal() and len(status[:3]) == 3):
            raise NotHttp(f"what came is no HTTP/1.1: {head[:60]!r}")
        if status[0] == "1":  # the answer itself is still to come
            return
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise NotHttp(f"this is no header: {line[:60]!r}")
            headers[name.lower()] = _joined(name.lower(), headers, value.strip(" \t"))
        self.stays = _stays(version, headers)
        self._head = int(status[:3]), headers

    def _whole(self, status: int, headers: dict[str, str]) -> Answer | None:
        if status in (204, 304) or (self._tunnel and status == 200):
            return self._ended_after(status, headers, 0)
        if "transfer-encoding" in headers:
            return self._of_chunks(status, headers)
        length = headers.get("content-length")
        if length is None:
            self.stays = False
            self._bounded(len(self._came))
            return None
        if not (length.isascii() and length.isdecimal()):
            raise NotHttp(f"this is no Content-Length: {length[:60]!r}")
        self._bounded(int(length[:20]))
        return self._ended_after(status, headers, int(length)) if len(self._came) >= int(length) else None

    def _ended_after(self, status: int, headers: dict[str, str], length: int) -> Answer:
        self.stays &= len(self._came) == length
        return Answer(status, headers, bytes(memoryview(self._came)[:length]))

    def _of_chunks(self, status: int, headers: dict[str, str]) -> Answer | None:
        if headers["transfer-encoding"].lower() != "chunked":
            raise NotHttp(f"the transfer encoding {headers['transfer-encoding'][:60]!r} was not asked for")
        while (end := self._came.find(b"\r\n", 0, LONGEST_HEAD)) >= 0:
            size = _size(bytes(self._came[:end]))
            if size == 0:
                return self._after_the_last(status, headers, end)
            self._bounded(self._size + size)
            start = end + 2
            if len(self._came) < start + size + 2:
                return None
            if self._came[start + size : start + size + 2] != b"\r\n":
                raise NotHttp("a chunk is longer than it says")
            self._chunks.append(bytes(memoryview(self._came)[start : start + size]))
            self._size += size
            del self._came[: start + size + 2]
        if len(self._came) >= LONGEST_HEAD:
            raise NotHttp("a chunk does not say how long it is")
        return None

    def _after_the_last(self, status: int, headers: dict[str, str], end: int) -> Answer | None:
        """The answer, once what may follow the last chunk is there, too."""
        last = self._came.find(b"\r\n\r\n", end)
        if last < 0 and len(self._came) > LONGEST_HEAD:
            raise NotHttp("there is no end to what follows the last chunk")
        if last < 0:
            return None
        self.stays &= len(self._came) == last + 4 and "content-length" not in headers
        return Answer(status, headers, b"".join(self._chunks))

    def _bounded(self, size: int) -> None:
        if size > LARGEST:
            raise TooLong


def _joined(name: str, headers: dict[str, str], value: str) -> str:
    """A header that came before, and again; a length that is said twice must be the same."""
    before = headers.get(name)
    if before is None or (name == "content-length" and before == value):
        return value
    return f"{before}, {value}"


def _stays(version: str, headers: dict[str, str]) -> bool:
    said = headers.get("connection", "").lower()
    return "close" not in said and (version != "HTTP/1.0" or "keep-alive" in said)


def _size(line: bytes) -> int:
    """The size that begins a chunk."""
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 16 or not HEX.issuperset(digits):
        raise NotHttp(f"this is no chunk's size: {line[:60]!r}")
    return int(digits, 16)
