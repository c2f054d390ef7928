"""The store itself: put, get, find, tag. Everything else is a function of a store, in a module of its own."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from storage import folders, provenance, tables
from storage.artifact import (
    Artifact,
    Json,
    Ref,
    canonical,
    check_kind,
    check_name,
    digest_of,
    object_key,
    plain,
    seal,
    unseal,
)
from storage.errors import BadData, BadName, Damaged, Expired, NotFound, SchemaMismatch
from storage.locks import flock
from storage.place import Disk, Place, publish_bytes, temporary
from storage.provenance import Code
from storage.versions import Versions, tag_key

FORMAT = {"format": 1}
LAYOUT = "store.json"
VARIABLE = "PERCEPTION_R1_STORE"
DEFAULT = Path(".perception-r1")

AnyRef = Artifact | Ref | str


class Meter(Protocol):
    """What the making of a version took, read when the last row is in."""

    @property
    def duration_s(self) -> float: ...

    @property
    def cost(self) -> float | None: ...


def open_store(path: Path | str | Place | None = None, *, producer: Mapping[str, str] | None = None) -> "Store":
    """The store at `path`, else at $PERCEPTION_R1_STORE, else in .perception-r1; it comes to be with the first put.

    `producer` says who writes through this handle (flow_run, task_run, ...); host and process are added.
    """
    if path is None:
        path = os.environ.get(VARIABLE) or DEFAULT
    if isinstance(path, str | Path) and Path(path).exists() and not Path(path).is_dir():
        raise BadName(f"{path} is a file, and a store is a folder; use --store with another place")
    place = Disk(Path(path).absolute()) if isinstance(path, str | Path) else path
    return Store(place, dict(producer or {}))


class Store:
    """Versioned artifacts at a place. Cheap to make; may be shared by threads that do not write one name at once."""

    def __init__(self, place: Place, producer: Mapping[str, str]) -> None:
        self.place = place
        self.producer = {**producer, **provenance.this_process()}
        self.versions = Versions(place)
        self._checked = False

    def __repr__(self) -> str:
        return f"Store({self.place})"

    def put(
        self,
        kind: str,
        name: str,
        data: Any,
        *,
        parents: Iterable[AnyRef] = (),
        config: Mapping[str, Any] | None = None,
        code: Code | None = None,
        schema: pa.Schema | None = None,
        run: str | None = None,
        meter: Meter | None = None,
        adopt: bool = False,
    ) -> Artifact:
        """Stores rows (see `tables.as_batches`) or a folder (pathlib.Path) as a version, and returns it.

        The cause is kind, name, the parents' content, config and code. The same content from the same cause is found,
        not written again. With `adopt` a folder's files become the store's own: see `folders.stage_folder`.
        """
        check_kind(kind), check_name(name)
        made_from = [self._here(parent) for parent in parents]
        code, config = code or Code(), plain(config or {}, "the config")
        record: Json = {
            "kind": kind,
            "name": name,
            "cause": cause_of(kind, name, [parent.digest for parent in made_from], config, code.digest),
            "parents": [{"version": parent.version, "digest": parent.digest} for parent in made_from],
            "config": config,
            "run": run,
            "producer": self.producer | {"pid": os.getpid()},
        }
        with ExitStack() as stack:
            content = self._staged(data, schema, stack, adopt)
            stack.enter_context(self.writing())
            self.check_fits(kind, name, content.facts)
            record |= content.publish(self.place)
            record["environment"] = self.put_json(provenance.environment())
            record["code"] = provenance.checkout_state() | {"digest": code.digest}
            if code.modules:
                self.put_json(code.modules)  # under the code's own digest
            record["created"] = now()
            if meter:
                record["duration_s"], record["cost"] = meter.duration_s, meter.cost
            return self.versions.append({key: value for key, value in record.items() if value is not None})

    def get(self, ref: AnyRef, columns: list[str] | None = None) -> Any:
        """The rows as a pyarrow.Table, or a folder's read-only view as a path. Page checksums are verified."""
        version = self.whole(ref)
        if version.format == "folder":
            return folders.view(self.place, version.digest)
        return tables.read(self.path(version), _known(columns, version))

    def stream(self, ref: AnyRef, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in record batches, one row group in memory at a time."""
        version = self.whole(ref, "table")
        return tables.stream(self.path(version), _known(columns, version))

    def dataset(self, ref: AnyRef) -> Any:
        """The rows as a `datasets.Dataset` over the Arrow table itself."""
        import datasets

        return datasets.Dataset(self.get(self.whole(ref, "table")))

    def checkout(self, ref: AnyRef, target: Path, how: folders.Checkout = "auto") -> Path:
        """A folder's files as the caller's own at `target`; see `folders.checkout` for the ways."""
        return folders.checkout(self.place, self.whole(ref, "folder").digest, target, how)

    def path(self, version: Artifact) -> Path:
        """The Parquet file or folder manifest of a version; raises Damaged if it is gone."""
        try:
            return self.place.local(version.key)
        except FileNotFoundError as error:
            raise Damaged(
                f"object {version.key} of {version.version} is missing: run `perception-r1 verify`, restore it from a "
                "copy, or run the stage that made it again"
            ) from error

    def latest(self, kind: str, name: str) -> Artifact:
        """The newest version; raises NotFound."""
        return self.versions.read(check_kind(kind), check_name(name), self.versions.last(kind, name))

    def at(self, ref: AnyRef) -> Artifact:
        """The version that a reference means; raises NotFound, with what there is."""
        if isinstance(ref, Artifact):
            return ref
        ref = ref if isinstance(ref, Ref) else Ref.parse(ref)
        if ref.tag:
            try:
                return self.at(self.versions.tagged(ref.kind, ref.name, ref.tag))
            except FileNotFoundError:
                has = ", ".join(self.versions.tags(ref.kind, ref.name)) or "none"
                raise NotFound(f"{ref.kind}/{ref.name} has no tag {ref.tag!r}; it has: {has}") from None
        if ref.seq:
            return self.versions.read(ref.kind, ref.name, ref.seq)
        return self.latest(ref.kind, ref.name)

    def whole(self, ref: AnyRef, expected: str | None = None) -> Artifact:
        """The version, if its data is here and of the expected format; raises Expired or BadData."""
        version = self.at(ref)
        if version.version in self.versions.expired():
            raise Expired(
                f"the data of {version.version} was collected by gc; its record stays. Run its stage again, or "
                "import it from an export"
            )
        if expected and version.format != expected:
            raise BadData(f"{version.version} is a {version.format}, and this works on a {expected} only")
        return version

    def find(self, cause: str) -> list[Artifact]:
        """The versions with that cause (`Artifact.cause`, `cause_of`), the newest last."""
        from storage.records import artifacts

        return artifacts(self, cause)

    def tag(self, ref: AnyRef, tag: str) -> Artifact:
        """Points a tag ("published", "baseline") to a version, away from where it pointed; returns the version."""
        with self.writing():  # gc is kept out between the look and the tag
            version = self.whole(ref)
            self.versions.move_tag(version, check_name(tag, "tag"), now())
        return version

    def untag(self, ref: Ref | str) -> None:
        """Removes the tag that the reference kind/name:tag names."""
        ref = ref if isinstance(ref, Ref) else Ref.parse(ref)
        if not ref.tag:
            raise BadName(f"expected kind/name:tag, got {ref.kind}/{ref.name}")
        if not self.place.exists(tag_key(ref.kind, ref.name, ref.tag)):
            self.at(ref)  # raises NotFound, with the tags there are
        self.place.remove(tag_key(ref.kind, ref.name, ref.tag))

    def put_json(self, value: Json) -> str:
        """Stores a JSON value as an object of its own, once, and returns its digest."""
        digest = digest_of(value)
        key = object_key(digest)
        if not self.place.exists(key) and publish_bytes(self.place, key, canonical(value)):
            return digest
        self.place.touch(key)
        return digest

    def writing(self) -> AbstractContextManager[int]:
        """Held, shared, from the first object of a version to its record: what keeps gc away. Seconds, never longer."""
        if not self._checked:
            if not self.place.exists(LAYOUT):
                publish_bytes(self.place, LAYOUT, seal(FORMAT))
            check_format(self.place)
            self._checked = True
        return flock(self.place.scratch / "locks" / "gc", shared=True)

    def _staged(
        self, data: Any, schema: pa.Schema | None, stack: ExitStack, adopt: bool
    ) -> folders.StagedFolder | tables.StagedTable:
        if isinstance(data, os.PathLike):
            return folders.stage_folder(self.place, Path(data), stack, adopt=adopt)
        return tables.stage_table(stack.enter_context(temporary(self.place, ".parquet")), data, schema)

    def _here(self, parent: AnyRef) -> Artifact:
        """The parent, if it is a version of this store."""
        version = self.at(parent)
        if isinstance(parent, Artifact) and self.at(version.version) != version:
            raise NotFound(f"{version.version} of this store is another one: import the parent first, then name it")
        return version

    def _types_so_far(self, before: Artifact) -> dict[str, str]:
        """The columns with the type that they have or, all null now, had in an earlier version."""
        types = dict(before.schema)
        for seq in range(before.seq - 1, 0, -1):
            if "null" not in types.values():
                break
            with suppress(NotFound, Damaged):
                earlier = dict(self.versions.read(before.kind, before.name, seq).schema)
                types |= {c: earlier.get(c, "null") for c, kind in types.items() if kind == "null"}
        return types

    def check_fits(self, kind: str, name: str, facts: Json) -> None:
        """Refuses what the versions so far could not be read together with: lost or changed columns, another format."""
        try:
            before = self.latest(kind, name)
        except (NotFound, Damaged):
            return
        if before.format != facts["format"]:
            raise SchemaMismatch(f"{kind}/{name} is a {before.format}, this is a {facts['format']}: use another name")
        had, got = self._types_so_far(before), dict(facts.get("schema", ()))
        wrong = [f"lost {column}" for column in had if column not in got]
        wrong += [f"{c} was {had[c]}, is {got[c]}" for c in had if c in got and not _readable_as(had[c], got[c])]
        if wrong:
            raise SchemaMismatch(
                f"{kind}/{name} may only gain columns from version to version, but {'; '.join(wrong)}. "
                f"Had: {_shown(had)}. Got: {_shown(got)}. Keep the columns, or put it under another name"
            )


def _known(columns: list[str] | None, version: Artifact) -> list[str] | None:
    """The columns, if the table has them."""
    has = [name for name, _ in version.schema]
    if lacking := [name for name in columns or () if name not in has]:
        raise BadData(f"{version.version} has no column {', '.join(map(repr, lacking))}; it has: {', '.join(has)}")
    return columns


def _readable_as(before: str, after: str) -> bool:
    """A column that was or is all null fits every type."""
    return before == after or "null" in (before, after)


def _shown(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{column} {kind}" for column, kind in columns.items())


def cause_of(kind: str, name: str, parents: list[str], config: Json, code: str) -> str:
    """The digest of all that a version was made by: the parents' content digests, the config, the code digest."""
    return digest_of({"kind": kind, "name": name, "parents": parents, "config": config, "code": code}, "the config")


def now() -> str:
    """The time as records have it. Order never depends on it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def check_format(place: Place) -> None:
    """Refuses a store with another layout's number."""
    try:
        found = unseal(place.local(LAYOUT).read_bytes(), LAYOUT)
    except FileNotFoundError:
        return
    if found != FORMAT:
        raise Damaged(
            f"the store at {place} has layout {found}; this version of perception-r1 writes {FORMAT}: upgrade"
        )
