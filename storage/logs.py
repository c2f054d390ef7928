"""Logs that grow row by row (rollouts, predictions): durable within seconds, readable at once, sealed into a version.

Rows lie in numbered Parquet segments, each published whole. Whatever kills the writer, the segments that were
acknowledged are there, and the next writer goes on after them.
"""

import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage import tables
from storage.artifact import check_kind, check_name
from storage.digest import canonical_schema
from storage.errors import BadData, writing
from storage.locks import flock
from storage.place import sync_file, sync_folder

FLUSH_S = 2.0


def log_folder(scratch: Path, kind: str, name: str, run: str) -> Path:
    """Where the log of a run lies; the SQL view `<kind>_open` reads it there."""
    return scratch / "logs" / check_kind(kind) / check_name(name) / check_name(run, "run")


class Log:
    """The one writer of a log folder; a second one, in any process, gets Busy. Use as a context manager, or close()."""

    def __init__(self, folder: Path, schema: pa.Schema | None = None, flush_s: float = FLUSH_S) -> None:
        self.folder = folder
        self._lock = flock(
            folder / "lock", wait=False, busy=f"log {folder} already has a writer; wait for it, or end it"
        )
        self._lock.__enter__()
        for leftover in folder.glob("*.tmp"):
            leftover.unlink()
        self._segments = sorted(folder.glob("*.parquet"))
        self.schema = schema
        self.rows = 0
        for path in self._segments:
            with tables.damage_named(path):
                metadata = pq.read_metadata(path)
            self.rows += metadata.num_rows
            self.schema = self.schema or canonical_schema(metadata.schema.to_arrow_schema())
        self._waiting: list[pa.Table] = []
        self._guard = threading.RLock()
        self._failure: Exception | None = None
        self._closed = threading.Event()
        self._flusher = threading.Thread(target=self._flush_regularly, args=(flush_s,), daemon=True)
        self._flusher.start()

    def append(self, rows: Any) -> None:
        """Takes records or a table in; they are durable within `flush_s` seconds, or after flush().

        The first rows say what the columns are, unless `schema` did. Rows that do not fit are refused here, whole.
        """
        if isinstance(rows, Mapping):
            raise BadData("append takes an iterable of records; wrap a single one in a list")
        rows = rows if hasattr(rows, "__arrow_c_stream__") else list(rows)
        with self._guard:
            if self._closed.is_set():
                raise BadData(f"log {self.folder} is closed: open it again to go on")
            failure, self._failure = self._failure, None
            if failure:
                raise failure  # of a flush in the background; its rows are kept and tried again
            if not isinstance(rows, list) or rows:
                table = self._table(rows)
                self._waiting.append(table if isinstance(rows, list) else _copied(table))

    def flush(self) -> int:
        """Makes every row so far durable and visible to readers; returns their number."""
        with self._guard:
            if self._waiting:
                self._publish(pa.concat_tables(self._waiting))
                self._waiting = []
            return self.rows

    def close(self) -> None:
        """Flushes and frees the log; it can be opened again and goes on."""
        with self._guard:
            if self._closed.is_set():
                return
            self.flush()  # if it cannot, the log stays open and keeps its rows
            self._closed.set()
            self._lock.__exit__(None, None, None)

    def stream(self) -> Iterator[pa.RecordBatch]:
        """The durable rows, a segment in memory at a time."""
        for path in self._segments:
            yield from tables.stream(path)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """All rows, for whatever reads Arrow; flushes first."""
        self.flush()
        if self.schema is None:
            raise BadData(f"log {self.folder} has no rows and no schema: open it with schema=pyarrow.schema(...)")
        return pa.RecordBatchReader.from_batches(self.schema, self.stream()).__arrow_c_stream__(requested_schema)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _table(self, rows: Any) -> pa.Table:
        schema, batches = tables.as_batches(rows, self.schema)
        table = pa.Table.from_batches(batches, schema)
        empty = [field.name for field in schema if pa.types.is_null(field.type)]
        if self.schema is None and empty:
            raise BadData(
                f"the first rows leave {', '.join(empty)} empty, so their types are open: open the log with schema="
            )
        self.schema = schema
        return table

    def _publish(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        last = int(self._segments[-1].stem) if self._segments else 0
        target = self.folder / f"{last + 1:08d}.parquet"
        partial = self.folder / f"{uuid.uuid4().hex}.tmp"
        with writing(self.folder):
            tables.stage_table(partial, table)
            sync_file(partial)
            partial.rename(target)
            sync_folder(self.folder)
        self._segments.append(target)
        self.rows += table.num_rows

    def _flush_regularly(self, flush_s: float) -> None:
        """Runs in a thread. What goes wrong is kept, to be raised where the writer looks, and tried again."""
        while not self._closed.wait(flush_s):
            with self._guard:
                try:
                    self.flush()
                except Exception as error:  # whatever it is: a thread that died would lose every later row silently
                    self._failure = error


def _copied(table: pa.Table) -> pa.Table:
    """The rows in memory of their own: whoever gave them may write to his."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
