"""The version records of one store: for each kind and name a log that only grows, one file a version.

A version is appended by linking its record at the next free number, and a number is only ever tried after every
record below it was read. That one rule makes the numbers dense, and lets a writer see an equal version (same cause,
same content) before it adds another, with no lock and however many writers there are.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from storage.artifact import KIND, NAME, Artifact, Json, seal, unseal, version_key
from storage.errors import Damaged, NotFound, writing
from storage.place import Place, publish_bytes, temporary


@dataclass(slots=True)
class _Log:
    last: int = 0
    seqs: dict[tuple[str, str], list[int]] = field(default_factory=dict)


class Versions:
    """Reads and appends version records; remembers what it has read, for records never change."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._logs: dict[tuple[str, str], _Log] = {}
        self._collections: dict[str, frozenset[str]] = {}
        self._appending = threading.RLock()  # threads that share a handle share what it has read

    def append(self, record: Json, even_expired: bool = False) -> Artifact:
        """Publishes the record at the next number, or returns the version that says the same already.

        A version whose data was collected counts as the same only if `even_expired`.
        """
        kind, name = record["kind"], record["name"]
        data = seal(record)
        with self._appending:
            log = self._caught_up(kind, name)
            while not (found := self._same(log, record, even_expired)):
                if publish_bytes(self.place, version_key(kind, name, log.last + 1), data):
                    log.last += 1
                    self._note(log, record)
                    return Artifact.from_record(record, log.last)
                log = self._caught_up(kind, name)
        self.place.touch(version_key(kind, name, found.seq))  # as young as if it had been made now: gc leaves it
        return found

    def read(self, kind: str, name: str, seq: int) -> Artifact:
        """The version of that number; raises NotFound or Damaged."""
        return Artifact.from_record(self.record(kind, name, seq), seq)

    def record(self, kind: str, name: str, seq: int) -> Json:
        """The record of that number as it stands in its file; raises NotFound or Damaged."""
        key = version_key(kind, name, seq)
        try:
            data = self.place.local(key).read_bytes()
        except FileNotFoundError:
            raise NotFound(self._missing(kind, name, seq)) from None
        record = unseal(data, key)
        if (record["kind"], record["name"]) != (kind, name):
            raise Damaged(
                f"record {key} belongs to {record['kind']}/{record['name']}: it was moved by hand; put it back"
            )
        return record

    def last(self, kind: str, name: str) -> int:
        """The highest number; raises NotFound if there is no version."""
        seqs = self.seqs(kind, name)
        if not seqs:
            raise NotFound(self._missing(kind, name, None))
        return seqs[-1]

    def seqs(self, kind: str, name: str) -> list[int]:
        """All numbers, in order."""
        return [
            int(n[:8]) for n in json_names(self.place, f"versions/{kind}/{name}") if len(n) == 13 and n[:8].isdigit()
        ]

    def kinds(self) -> list[str]:
        """The kinds that have versions."""
        return [kind for kind in self.place.names("versions") if KIND.fullmatch(kind)]

    def names(self, kind: str) -> list[str]:
        """The names of a kind that have versions."""
        return [name for name in self.place.names(f"versions/{kind}") if NAME.fullmatch(name)]

    def expired(self) -> frozenset[str]:
        """The versions whose data was collected."""
        for name in set(json_names(self.place, "expired")) - set(self._collections):
            with suppress(Damaged):  # verify names it; the data itself tells readers whether it is gone
                self._collections[name] = self.collection(name)
        return frozenset().union(*self._collections.values())

    def collection(self, name: str) -> frozenset[str]:
        """What one record in expired/ says; raises Damaged."""
        key = f"expired/{name}"
        return frozenset(unseal(self.place.local(key).read_bytes(), key)["versions"])

    def expire(self, versions: list[str], when: str) -> None:
        """Puts on record that the data of these versions is, or is about to be, gone."""
        publish_bytes(self.place, f"expired/{uuid.uuid4().hex}.json", seal({"versions": versions, "created": when}))

    def tags(self, kind: str, name: str) -> dict[str, str]:
        """The tags of one artifact and the versions they point to; a damaged one is passed, verify names it."""
        found = {}
        for file in json_names(self.place, f"tags/{kind}/{name}"):
            with suppress(Damaged):
                found[file.removesuffix(".json")] = self.tagged(kind, name, file.removesuffix(".json"))
        return found

    def tagged(self, kind: str, name: str, tag: str) -> str:
        """The version that a tag points to; raises Damaged or FileNotFoundError."""
        key = tag_key(kind, name, tag)
        return str(unseal(self.place.local(key).read_bytes(), key)["version"])

    def move_tag(self, version: Artifact, tag: str, moved: str) -> None:
        """Points the tag to the version, atomically."""
        with temporary(self.place) as path:
            with writing(self.place.scratch):
                path.write_bytes(seal({"version": version.version, "moved": moved}))
            self.place.replace(tag_key(version.kind, version.name, tag), path)

    def _same(self, log: _Log, record: Json, even_expired: bool) -> Artifact | None:
        """The latest version with this cause and content, if it vouches for the same file."""
        for seq in reversed(log.seqs.get((record["cause"], record["digest"]), [])):
            found = self.read(record["kind"], record["name"], seq)
            if not even_expired and found.file_sha256 != record.get("file_sha256"):
                continue  # a damaged object gave way to one that another writer has spelt otherwise
            if even_expired or found.version not in self.expired():
                return found
        return None

    def _caught_up(self, kind: str, name: str) -> _Log:
        """The log with every record read that is visible now; a damaged one equals nothing and is passed."""
        log = self._logs.setdefault((kind, name), _Log())
        for seq in self._unread(kind, name, log.last):
            log.last = seq
            with suppress(Damaged):
                self._note(log, self.record(kind, name, seq))
        return log

    def _unread(self, kind: str, name: str, last: int) -> Iterator[int]:
        """The numbers above `last`: from a listing if it is 0, else by looking for the next one."""
        if not last:
            yield from self.seqs(kind, name)
            return
        while self.place.exists(version_key(kind, name, last + 1)):
            last += 1
            yield last

    @staticmethod
    def _note(log: _Log, record: Json) -> None:
        log.seqs.setdefault((record["cause"], record["digest"]), []).append(log.last)

    def _missing(self, kind: str, name: str, seq: int | None) -> str:
        """What was asked for, what there is."""
        if seqs := self.seqs(kind, name):
            return f"{kind}/{name}@{seq} does not exist; {kind}/{name} has versions 1 to {seqs[-1]}"
        known = [f"{kind}/{n}" for n in self.names(kind)] or [f"{k}/..." for k in self.kinds()]
        shown = ", ".join(known[:12]) if known else "nothing yet"
        return f"{kind}/{name} does not exist in the store at {self.place}; it has: {shown}"


def tag_key(kind: str, name: str, tag: str) -> str:
    """The key of a tag."""
    return f"tags/{kind}/{name}/{tag}.json"


def json_names(place: Place, prefix: str) -> list[str]:
    """The records below the prefix, without what file managers and editors leave there."""
    return [name for name in place.names(prefix) if name.endswith(".json") and not name.startswith(".")]
