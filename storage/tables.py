"""Rows in, Parquet out: every form that rows come in, streamed, and the one form they are kept in."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.artifact import Json, object_key
from storage.digest import TableDigest, canonical_schema, canonical_type, file_hash
from storage.errors import BadData, Damaged, SchemaMismatch, writing
from storage.place import Place

IMAGE_GROUP_ROWS = 128  # one 20 kB image is found in 1.4 ms; with the default group in 24.5 ms (measured)
TEXT_GROUP_ROWS = 65_536
GROUP_BYTES = 64 << 20  # what a writer holds in memory, whatever the rows weigh
RECORDS_AT_ONCE = 8_192


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A Parquet file in scratch, its digest known, waiting to be published."""

    facts: Json
    file: Path

    def publish(self, place: Place) -> Json:
        """Publishes the file and returns its facts. Equal content that is there already is checked, then kept."""
        key = object_key(self.facts["digest"], ".parquet")
        if place.publish(key, self.file, keep_source=True):
            return self.facts
        there = place.local(key)
        file_sha256 = file_hash(there)
        if file_sha256 != self.facts["file_sha256"] and not _holds(there, self.facts["digest"]):
            place.remove(key)
            place.publish(key, self.file, keep_source=True)
            return self.facts
        place.touch(key)
        return self.facts | {"file_sha256": file_sha256, "bytes": there.stat().st_size}


def _holds(path: Path, digest: str) -> bool:
    """Whether the file can be read and holds the rows of that digest; another pyarrow may have spelt them otherwise."""
    try:
        return digest_file(path) == digest
    except Damaged:
        return False


def as_batches(data: Any, schema: pa.Schema | None = None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The canonical schema of the rows and the rows in canonical batches, read once and lazily.

    Rows may be anything with an Arrow stream (Table, RecordBatchReader, DuckDB relation, polars or pandas frame), a
    `datasets.Dataset`, or an iterable of tables, record batches or records (mappings).
    """
    if hasattr(data, "data") and hasattr(data, "_indices"):  # datasets.Dataset: its own row order over an Arrow table
        schema = schema or data.features.arrow_schema
        data = data.with_format("arrow").iter(batch_size=RECORDS_AT_ONCE)
    if hasattr(data, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(data)
        return _conform(schema or reader.schema, reader)
    if isinstance(data, Mapping | str | bytes) or not isinstance(data, Iterable):
        raise BadData(f"expected a table, an iterable of rows or a folder (pathlib.Path), got {type(data).__name__}")
    rows = iter(data)
    first = next(rows, None)
    if first is None:
        if schema is None:
            raise BadData("no rows and no schema: pass schema=pyarrow.schema(...) to store an empty table")
        return _conform(schema, iter(()))
    rows = itertools.chain([first], rows)
    batches = _from_records(rows, schema) if isinstance(first, Mapping) else _from_tables(rows)
    head = next(batches)
    return _conform(schema or head.schema, itertools.chain([head], batches))


def _conform(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    target = canonical_schema(schema)
    return target, (_cast(piece, target) for batch in batches for piece in _pieces(batch))


def _cast(batch: pa.RecordBatch, target: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(target, check_metadata=True):
        return batch
    if set(batch.schema.names) != set(target.names):
        raise SchemaMismatch(
            f"rows do not fit the columns of the rows before them: expected {_listed(target)}, got "
            f"{_listed(batch.schema)}; pass schema= to say what every row has"
        )
    columns = [_converted(field.name, _plain(batch[field.name]), field.type) for field in target]
    return pa.RecordBatch.from_arrays(columns, schema=target)


def _converted(name: str, array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The values under the type that the column has; raises SchemaMismatch if any of them would change."""
    if array.type == kind:
        return array
    try:
        result = array.cast(kind)
        if canonical_type(array.type, name) == kind or _has(array.type, pa.types.is_null):
            return result  # another encoding of the same, or nothing that could change
        if not (lost := _lost_fields(array.type, kind)) and _same(result.cast(array.type), array):
            return result
        reason = f"inner fields {lost} would be lost" if lost else "values would change"
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
    raise SchemaMismatch(
        f"column {name!r} is {kind}, these rows have {array.type} ({reason}); pass schema= for all rows"
    )


def _same(one: pa.Array, other: pa.Array) -> bool:
    """Whether two arrays of one type hold the same bits."""
    schema = canonical_schema(pa.schema([("x", one.type)]))
    digests = []
    for array in (one, other):
        digest = TableDigest(schema)
        digest.update(pa.RecordBatch.from_arrays([array.cast(schema.field(0).type)], schema=schema))
        digests.append(digest.hexdigest())
    return digests[0] == digests[1]


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _plain(array: pa.Array) -> pa.Array:
    """The array without the encodings that Arrow cannot cast away by itself."""
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if pa.types.is_dictionary(array.type):
        values = array.dictionary.cast(canonical_type(array.type.value_type, "a dictionary's values"))
        return values.take(array.indices)
    return array


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices that fit in a row group's memory."""
    count = max(1, -(-batch.nbytes // GROUP_BYTES))
    step = max(1, -(-batch.num_rows // count))
    if any(pa.types.is_dictionary(field.type) for field in batch.schema):
        step = min(step, IMAGE_GROUP_ROWS)  # a few values may stand for many bytes
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _from_tables(rows: Iterator[Any]) -> Iterator[pa.RecordBatch]:
    for item in rows:
        if isinstance(item, pa.RecordBatch):
            yield item
        elif isinstance(item, pa.Table):
            # an empty table still says what its columns are
            yield from item.to_batches() or [pa.RecordBatch.from_pylist([], schema=item.schema)]
        else:
            raise BadData(f"expected rows as records (dict), tables or record batches, got {type(item).__name__}")


def _from_records(rows: Iterator[Any], schema: pa.Schema | None) -> Iterator[pa.RecordBatch]:
    """Batches of records; the first batch names the columns (all keys that occur in it) unless a schema does."""
    while records := list(itertools.islice(rows, RECORDS_AT_ONCE)):
        if strange := [r for r in records if not isinstance(r, Mapping) or not all(isinstance(key, str) for key in r)]:
            raise BadData(f"expected records with column names as keys, got {strange[0]!r}")
        names = schema.names if schema else list(dict.fromkeys(key for record in records for key in record))
        if extra := {key for record in records for key in record} - set(names):
            raise SchemaMismatch(f"records have columns {sorted(extra)} that the ones before lack; pass schema=")
        columns = [_column(name, [record.get(name) for record in records], schema) for name in names]
        batch = pa.RecordBatch.from_arrays(columns, names=names)
        schema = schema or _typed(batch.schema)
        yield batch


def _column(name: str, values: list[Any], schema: pa.Schema | None) -> pa.Array:
    try:
        kind = schema.field(name).type if schema else None
        if kind is None or _has(kind, pa.types.is_map):  # only the type tells a map's pairs from a list's
            return pa.array(values, kind)
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeError, RecursionError) as error:
        raise BadData(f"records cannot become column {name!r}: {error}") from error
    if lost := _lost_fields(array.type, kind):
        raise SchemaMismatch(f"column {name!r} has inner fields {lost} that the rows before lack; pass schema=")
    return _converted(name, array, kind)


def _lost_fields(got: pa.DataType, kept: pa.DataType) -> list[str]:
    """The struct fields that values have and that a conversion to the kept type would drop without a word."""
    if pa.types.is_struct(got) and pa.types.is_struct(kept):
        inner = {field.name: field.type for field in kept}
        lost = [field.name for field in got if field.name not in inner]
        return lost + [name for f in got if f.name in inner for name in _lost_fields(f.type, inner[f.name])]
    if got.num_fields == 1 and kept.num_fields == 1:
        return _lost_fields(got.field(0).type, kept.field(0).type)
    return []


def _has(kind: pa.DataType, wanted: Callable[[pa.DataType], bool]) -> bool:
    """Whether the type or a part of it is of a sort."""
    return wanted(kind) or any(_has(kind.field(place).type, wanted) for place in range(kind.num_fields))


def _typed(schema: pa.Schema) -> pa.Schema | None:
    """The schema, if every column of the first records showed its type; else the next are read by themselves."""
    return None if any(pa.types.is_null(field.type) for field in schema) else schema


def stage_table(path: Path, data: Any, schema: pa.Schema | None = None) -> StagedTable:
    """Writes the rows to a Parquet file at `path`; memory stays at a row group or two, whatever comes."""
    schema, batches = as_batches(data, schema)
    pictures = any(_has(field.type, pa.types.is_binary) for field in schema)
    digest = TableDigest(schema)
    digester = ThreadPoolExecutor(1)
    file = _HashedFile(path, digester)
    with digester, file, pq.ParquetWriter(file, schema, **_options(schema)) as writer:
        for group in _groups(schema, batches, IMAGE_GROUP_ROWS if pictures else TEXT_GROUP_ROWS):
            digested = digester.submit(_digest_all, digest, group.to_batches())
            writer.write_table(group, row_group_size=group.num_rows)
            digested.result()
    if canonical_schema(pq.read_schema(path)) != schema:
        raise BadData(
            f"Parquet would give back {_listed(pq.read_schema(path))} for {_listed(schema)}: cast the columns"
        )
    facts = {
        "format": "table",
        "digest": digest.hexdigest(),
        "rows": digest.rows,
        "bytes": path.stat().st_size,
        "file_sha256": file.hexdigest(),
        "schema": [[field.name, str(field.type)] for field in schema],
    }
    return StagedTable(facts, path)


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Images are compressed already. zstd would make text a third smaller and its put half as slow again."""
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    return {
        "use_dictionary": [path for path, kind in leaves if not pa.types.is_binary(kind)],
        "compression": {path: "none" if pa.types.is_binary(kind) else "snappy" for path, kind in leaves},
        "write_page_checksum": True,
    }


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """The columns that Parquet makes of a column, under Parquet's names."""
    if pa.types.is_map(kind):
        yield from _leaves(f"{path}.key_value.key", kind.key_type)
        yield from _leaves(f"{path}.key_value.value", kind.item_type)
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind


def _digest_all(digest: TableDigest, batches: Iterable[pa.RecordBatch]) -> None:
    for batch in batches:
        digest.update(batch)


def _groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The batches regrouped: `rows` rows each, or fewer when they would weigh more than GROUP_BYTES."""
    held: list[pa.RecordBatch] = []
    count = weight = 0
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            rest = batch.slice(start, rows)
            while count + rest.num_rows >= rows or weight + rest.nbytes >= GROUP_BYTES:
                taken = rest.slice(0, min(rows - count, rest.num_rows))
                yield pa.Table.from_batches([*held, taken], schema)
                held, count, weight = [], 0, 0
                rest = rest.slice(taken.num_rows)
                if not rest.num_rows:
                    break
            if rest.num_rows:
                held.append(rest)
                count, weight = count + rest.num_rows, weight + rest.nbytes
    if held:
        yield pa.Table.from_batches(held, schema)


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The whole table, its page checksums verified; raises Damaged."""
    with damage_named(path):
        return pq.read_table(path, columns=columns, partitioning=None, page_checksum_verification=True)


def stream(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows in batches, a row group in memory at a time; raises Damaged."""
    with damage_named(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        for group in range(file.num_row_groups):
            with damage_named(path):
                batches = file.read_row_group(group, columns=columns).to_batches()
            yield from batches


def columns_of(path: Path) -> tuple[tuple[str, str], ...]:
    """The columns of a Parquet file with their canonical types, as records have them."""
    with damage_named(path):
        return tuple((field.name, str(field.type)) for field in canonical_schema(pq.read_schema(path)))


def digest_file(path: Path) -> str:
    """The canonical digest of the rows in a Parquet file, whoever wrote it."""
    with damage_named(path):
        schema, batches = as_batches(itertools.chain([pq.read_schema(path).empty_table()], stream(path)))
        digest = TableDigest(schema)
        _digest_all(digest, batches)
        return digest.hexdigest()


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turns what Arrow says of a file that cannot be read into Damaged, naming the file and the remedy."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise Damaged(
            f"object {path} is damaged ({str(error).splitlines()[0]}): run `perception-r1 verify`, then restore the "
            "file from a copy, or remove it and run the stage that made it again"
        ) from error


class _HashedFile:
    """A file written from front to back that knows the sha256 of its bytes; errors keep their errno."""

    def __init__(self, path: Path, hasher: ThreadPoolExecutor) -> None:
        self._path = path
        with writing(path.parent):
            self._file = path.open("wb")
        self._hasher = hasher
        self._sha256 = hashlib.sha256()
        self._position = 0

    def write(self, data: Any) -> int:
        if self.closed:  # Arrow's writer tries again when it is collected, maybe within a `submit`: no lock from here
            raise ValueError(f"{self._path} is closed")
        self._hasher.submit(self._sha256.update, data)
        self._position += len(data)
        with writing(self._path.parent):
            return self._file.write(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        with writing(self._path.parent):
            self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()

    def __enter__(self) -> "_HashedFile":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
