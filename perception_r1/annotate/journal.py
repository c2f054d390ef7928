"""What was answered, by what was asked: written to disk before anything else is done with it.

One line of JSON a reply. Whatever kills the process, the replies that were written are there, a line that was torn
is cut off, one that was damaged is passed over, and the next process asks for the rest. Only where each reply stands is
held in memory. A kill loses nothing that was counted; a power cut loses a second.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from perception_r1 import errors
from perception_r1.endpoints import Reply
from perception_r1.errors import EndpointError

SYNC_S = 1.0  # between two waits for the disk

Outcome = Reply | EndpointError


def key_of(*parts: object) -> str:
    """The key of what is asked: the digest of all that the reply depends on."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


class Journal:
    """The replies so far, in a file or, without one, in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self._memory: dict[str, Outcome] = {}
        self._places: dict[str, int] = {}
        self._file: IO[bytes] | None = None
        self._path = path
        self._synced_s = time.monotonic()
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
            self._file.truncate(self._indexed(path))
            self._file.seek(0, os.SEEK_END)

    def __len__(self) -> int:
        return len(self._memory) + len(self._places)  # a key is in one of them

    def __iter__(self) -> Iterator[Outcome]:
        """All replies."""
        yield from (self[key] for key in sorted((*self._memory, *self._places)))

    def __contains__(self, key: str) -> bool:
        return key in self._places or key in self._memory

    def __getitem__(self, key: str) -> Outcome:
        if key in self._memory:
            return self._memory[key]
        assert self._path is not None
        with self._path.open("rb") as file:  # also after close(): what was said can be read on
            file.seek(self._places[key])
            return _outcome(json.loads(file.readline()))

    def add(self, key: str, outcome: Outcome, *, keep: bool = True) -> None:
        """Takes a reply in; one that is not worth keeping is known to this process only."""
        if self._file is None or not keep:
            self._memory[key] = outcome
            self._places.pop(key, None)
            return
        place = self._file.seek(0, os.SEEK_END)
        line = json.dumps({"key": key, **_record(outcome)}).encode() + b"\n"
        while line:
            line = line[self._file.write(line) :]
        self._places[key] = place
        self._memory.pop(key, None)
        if time.monotonic() - self._synced_s > SYNC_S:
            self._sync()

    def close(self) -> None:
        """Waits for the disk."""
        if self._file and not self._file.closed:
            self._sync()
            self._file.close()

    def _sync(self) -> None:
        assert self._file is not None
        os.fsync(self._file.fileno())
        self._synced_s = time.monotonic()

    def _indexed(self, path: Path) -> int:
        """Finds every whole line; returns where they end. A damaged one takes none of those behind it along."""
        end = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                with suppress(ValueError, KeyError, TypeError, AttributeError):
                    record = json.loads(line)
                    _outcome(record)
                    self._places[record["key"]] = end
                end += len(line)
        return end


def _record(outcome: Outcome) -> dict[str, Any]:
    cost = {"tokens": [outcome.prompt_tokens, outcome.completion_tokens], "usd": outcome.cost_usd}
    if isinstance(outcome, EndpointError):
        return {"failure": type(outcome).__name__, "says": str(outcome), **cost}
    return {"text": outcome.text, "took_s": outcome.latency_s, **cost}


def _outcome(record: dict[str, Any]) -> Outcome:
    asked, used = record["tokens"]
    if "failure" in record:
        kind: type[EndpointError] = getattr(errors, record["failure"])
        return kind(record["says"]).after(asked, used, record["usd"])
    return Reply(record["text"], asked, used, record["took_s"], record["usd"])
