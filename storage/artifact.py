"""The values that the store hands out (Artifact) and asks with (Ref), and the sealed JSON that records are."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from storage.errors import BadData, BadName, Damaged

Format = Literal["table", "folder"]
Json = dict[str, Any]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
KIND = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED_KINDS = frozenset({"versions", "lineage", "tags"})  # the catalogue's own tables
VIEW_SUFFIXES = ("_versions", "_open")
DIGEST = re.compile(r"[0-9a-f]{64}")
SEQ = re.compile(r"[1-9][0-9]{0,7}")


def check_kind(kind: str) -> str:
    """Returns the kind if it can be a folder and an SQL view at once, or raises BadName."""
    if not isinstance(kind, str) or not KIND.fullmatch(kind) or kind in RESERVED_KINDS or kind.endswith(VIEW_SUFFIXES):
        raise BadName(
            f"kind {_short(kind)} cannot be used: a kind is 1 to 63 of a-z, 0-9 and _, begins with a letter, is not "
            f"one of {', '.join(sorted(RESERVED_KINDS))} and does not end in {' or '.join(VIEW_SUFFIXES)} (SQL views)"
        )
    return kind


def check_name(name: str, what: str = "name") -> str:
    """Returns the name if it can be a single path component on every file system, or raises BadName."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadName(
            f"{what} {_short(name)} cannot be used: a {what} is 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', "
            "and begins with a letter or digit"
        )
    return name


def _short(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else shown[:57] + "..."


@dataclass(frozen=True, slots=True)
class Ref:
    """What a person types to mean a version: `kind/name` (the latest), `kind/name@3` or `kind/name:tag`."""

    kind: str
    name: str
    seq: int | None = None
    tag: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Ref":
        """Returns the reference, or raises BadName with the three forms."""
        match = isinstance(text, str) and re.fullmatch(r"([^/@:]+)/([^/@:]+)(?:@([^/@:]+)|:([^/@:]+))?", text)
        if not match or (match[3] and not SEQ.fullmatch(match[3])):
            raise BadName(f"{_short(text)} is no reference: expected kind/name, kind/name@3 or kind/name:tag")
        kind, name, seq, tag = match.groups()
        return cls(check_kind(kind), check_name(name), int(seq) if seq else None, tag and check_name(tag, "tag"))


@dataclass(frozen=True, slots=True)
class Parent:
    """A version that another was made from, with its content digest."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """One immutable version: what it holds, what it came from, who made it."""

    kind: str
    name: str
    seq: int
    digest: str
    format: Format
    bytes: int
    cause: str
    created: str
    rows: int | None = None
    files: int | None = None
    file_sha256: str | None = None
    schema: tuple[tuple[str, str], ...] = ()
    parents: tuple[Parent, ...] = ()
    config: Json = field(default_factory=dict)
    code: Json = field(default_factory=dict)
    environment: str | None = None
    producer: Json = field(default_factory=dict)
    run: str | None = None
    duration_s: float | None = None
    cost: float | None = None

    def __hash__(self) -> int:
        return hash((self.version, self.digest))

    @property
    def version(self) -> str:
        """The identity within a store: kind/name@seq."""
        return f"{self.kind}/{self.name}@{self.seq}"

    @property
    def key(self) -> str:
        """The key of the object that holds the content."""
        return object_key(self.digest, ".parquet" if self.format == "table" else ".dir.json")

    def record(self) -> Json:
        """The JSON record, without the sequence number: that is the record's file name."""
        record = {name: getattr(self, name) for name in self.__slots__ if name != "seq"}
        record["parents"] = [{"version": p.version, "digest": p.digest} for p in self.parents]
        record["schema"] = [list(column) for column in self.schema]
        return {name: value for name, value in record.items() if value is not None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], seq: int) -> "Artifact":
        """The artifact that a record describes; fields from a newer writer are ignored."""
        known = {name: record[name] for name in record.keys() & FIELDS}
        known["parents"] = tuple(Parent(p["version"], p["digest"]) for p in record["parents"])
        known["schema"] = tuple(map(tuple, record.get("schema", ())))
        return cls(seq=seq, **known)


FIELDS = frozenset(Artifact.__slots__)


def version_key(kind: str, name: str, seq: int) -> str:
    """The key of a version record; zeros in front keep a plain listing in order."""
    return f"versions/{kind}/{name}/{seq:08d}.json"


def object_key(digest: str, suffix: str = "") -> str:
    """The key of a content-addressed object."""
    return f"objects/{digest[:2]}/{digest}{suffix}"


def canonical(value: object, what: str = "value") -> bytes:
    """The one JSON spelling of a value: sorted keys, no spaces. Raises BadData for what JSON cannot hold exactly."""
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:
        raise BadData(
            f"{what} must be plain JSON (text, numbers, true/false, null, lists, objects): {error}"
        ) from error


def digest_of(value: object, what: str = "value") -> str:
    """sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(value, what)).hexdigest()


def plain(value: Mapping[str, Any], what: str) -> Json:
    """A copy of the value as it will be read back from JSON; what happens to the original no longer matters."""
    copy: Json = json.loads(canonical(dict(value), what))
    return copy


def seal(record: Mapping[str, Any]) -> bytes:
    """The record's bytes with their own checksum inside, so that a torn or flipped record is recognised when read."""
    return canonical({**record, "sha256": digest_of(record, "a record")}) + b"\n"


def unseal(data: bytes, where: str) -> Json:
    """The record that was sealed, or Damaged naming the file."""
    try:
        record = json.loads(data)
        checksum = record.pop("sha256")
    except (ValueError, AttributeError, KeyError, TypeError):
        record, checksum = {}, None
    if not checksum or digest_of(record) != checksum:
        raise Damaged(f"record {where} is damaged: restore it from a copy, or move it away to go on without it")
    return record  # type: ignore[no-any-return]
