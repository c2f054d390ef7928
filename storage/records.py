"""All records of a store at once: read from their files, and kept in catalog.parquet so as not to read them again.

The catalogue is derived: replaced atomically, brought up to date from the records that are newer, and thrown away
whenever it does not fit. Deleting it loses nothing, and what deletes (gc) or judges (verify) does not ask it.
"""

import json
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.artifact import Artifact
from storage.errors import Damaged, Unwritable
from storage.place import temporary

if TYPE_CHECKING:
    from storage.store import Store

CATALOG = "catalog.parquet"
STALE_ROWS = 256  # reading so many records one by one costs more than reading a catalogue that has them
STALE_SHARE = 0.1

Listing = dict[tuple[str, str], list[int]]  # the numbers that are there of each artifact

TEXT, COUNT = pa.string(), pa.int64()
COLUMNS = pa.schema(
    [
        *(
            (name, TEXT)
            for name in ("kind", "name", "version", "format", "created", "digest", "cause", "run", "record")
        ),
        *((name, COUNT) for name in ("seq", "rows", "files", "bytes")),
        *((name, pa.float64()) for name in ("duration_s", "cost")),
        ("parents", pa.list_(TEXT)),
    ]
)


@dataclass(frozen=True, slots=True)
class Catalogued:
    """The catalogue as it was opened, for it may be replaced while it is read; empty if there is none that fits."""

    file: pq.ParquetFile | None = None
    last: dict[tuple[str, str], int] = field(default_factory=dict)

    def read(self, columns: list[str] | None) -> list[pa.Table]:
        return [self.file.read(columns).replace_schema_metadata()] if self.file else []


def records(store: "Store", columns: list[str] | None = None) -> pa.Table:
    """One row a version, in the columns of COLUMNS; a damaged record has only its place (kind, name, seq, version)."""
    listed = _listing(store)
    catalogued = _open_catalog(store, listed)
    try:
        known = catalogued.read(columns)
    except (OSError, pa.ArrowException):  # damaged inside: as good as none
        catalogued, known = Catalogued(), []
    fresh = _fresh(store, listed, catalogued)
    if len(fresh) > max(STALE_ROWS, STALE_SHARE * sum(catalogued.last.values())):
        with suppress(Unwritable):  # a reader who may not write goes on without
            _write_catalog(store, catalogued, fresh)
    return pa.concat_tables([*known, fresh.select(columns or COLUMNS.names)])


def artifacts(store: "Store", cause: str | None = None) -> list[Artifact]:
    """Every version, or those of one cause, by kind, name and number."""
    table = records(store, ["kind", "name", "seq", "cause", "record"])
    table = table.filter(pc.is_valid(table["cause"]) if cause is None else pc.equal(table["cause"], cause))
    table = table.sort_by([("kind", "ascending"), ("name", "ascending"), ("seq", "ascending")])
    pairs = zip(table["record"].to_pylist(), table["seq"].to_pylist(), strict=True)
    return [Artifact.from_record(json.loads(record), seq) for record, seq in pairs]


def _open_catalog(store: "Store", listed: Listing) -> Catalogued:
    """The catalogue with the newest number that it knows of each artifact, if it fits what is there."""
    try:
        mapped = pa.memory_map(str(store.place.scratch / CATALOG))
        file = pq.ParquetFile(mapped, page_checksum_verification=True)
        last = {(kind, name): seq for kind, name, seq in json.loads((file.schema_arrow.metadata or {})[b"last"])}
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return Catalogued()
    # records may have been taken away, or put back from an older copy of the store
    fits = all(_dense(listed.get(artifact, [])) >= seq for artifact, seq in last.items())
    return Catalogued(file, last) if fits and file.schema_arrow.names == COLUMNS.names else Catalogued()


def _listing(store: "Store") -> Listing:
    return {
        (kind, name): store.versions.seqs(kind, name)
        for kind in store.versions.kinds()
        for name in store.versions.names(kind)
    }


def _dense(seqs: list[int]) -> int:
    """How far the numbers go from 1 without a gap."""
    if seqs and seqs[-1] == len(seqs):
        return len(seqs)
    return next((place for place, seq in enumerate(seqs) if seq != place + 1), len(seqs))


def _fresh(store: "Store", listed: Listing, catalogued: Catalogued) -> pa.Table:
    """The records that the catalogue lacks."""
    rows = [
        _row(store, kind, name, seq)
        for (kind, name), seqs in listed.items()
        for seq in seqs[bisect_right(seqs, catalogued.last.get((kind, name), 0)) :]
    ]
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def _row(store: "Store", kind: str, name: str, seq: int) -> dict[str, Any]:
    place = {"kind": kind, "name": name, "seq": seq, "version": f"{kind}/{name}@{seq}"}
    try:
        record = store.versions.record(kind, name, seq)
    except Damaged:
        return place
    parents = [parent["version"] for parent in record["parents"]]
    return record | place | {"parents": parents, "record": json.dumps(record, ensure_ascii=False)}


def write_catalog(store: "Store") -> None:
    """Writes catalog.parquet with the records that are visible now."""
    listed = _listing(store)
    catalogued = _open_catalog(store, listed)
    _write_catalog(store, catalogued, _fresh(store, listed, catalogued))


def _write_catalog(store: "Store", catalogued: Catalogued, fresh: pa.Table) -> None:
    """Writes, of each artifact, the records up to the first that is damaged or missing: these will not change."""
    last = dict(catalogued.last)
    sound = []
    for row in fresh.select(["kind", "name", "seq", "digest"]).to_pylist():
        artifact = row["kind"], row["name"]
        sound.append(row["digest"] is not None and row["seq"] == last.get(artifact, 0) + 1)
        last[artifact] = last.get(artifact, 0) + sound[-1]
    table = pa.concat_tables([*catalogued.read(None), fresh.filter(pa.array(sound, pa.bool_()))])
    metadata = json.dumps([[kind, name, seq] for (kind, name), seq in last.items() if seq])
    with temporary(store.place, ".parquet") as path:
        pq.write_table(table.replace_schema_metadata({"last": metadata}), path, write_page_checksum=True)
        path.replace(store.place.scratch / CATALOG)
