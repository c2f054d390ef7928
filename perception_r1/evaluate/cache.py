"""Responses that were paid for once: kept by model, rendered prompt, picture bytes and sampling settings.

One SQLite file, safe for several processes; a response is in it as soon as it is there, whatever happens next.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SQL = Path(__file__).parent / "sql"
BUSY_S = 60.0


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said to one problem; an `error` says why it said nothing, and is no response."""

    text: str
    tokens: int
    truncated: bool
    error: str = ""
    for_good: bool = False  # asking again would bring the same error


def key_of(settings: Mapping[str, Any], prompt: str, images: Sequence[bytes]) -> bytes:
    """What a response depends on, as 32 bytes: the settings name the model by its digest."""
    told = [hashlib.sha256(image).hexdigest() for image in images]
    return hashlib.sha256(json.dumps([dict(settings), prompt, told], sort_keys=True).encode()).digest()


class Cache:
    """Responses on disk by their keys; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file: sqlite3.Connection | None = None
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=BUSY_S)
            self._file.executescript((SQL / "responses.sql").read_text())
            self._put, self._get = ((SQL / f"{name}.sql").read_text() for name in ("put", "get"))

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Response]:
        """The responses that are known."""
        if not self._file:
            return {}
        found = {key: self._file.execute(self._get, (key,)).fetchone() for key in keys}
        return {
            key: Response(text, tokens, bool(cut)) for key, row in found.items() if row for text, tokens, cut in [row]
        }

    def put(self, responses: Mapping[bytes, Response]) -> None:
        """Keeps the responses; a failure is not one."""
        if self._file:
            rows = [(key, said.text, said.tokens, said.truncated) for key, said in responses.items() if not said.error]
            with self._file:
                self._file.executemany(self._put, rows)

    def close(self) -> None:
        """Ends the connection."""
        if self._file:
            self._file.close()
