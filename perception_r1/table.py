"""Records as Arrow tables: the columns of an artifact follow from the record's own fields."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE = 16  # a row may hold megabytes
PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


@cache
def schema_of(record: type) -> pa.Schema:
    """The columns of a record, in the order of its fields."""
    hints = typing.get_type_hints(record)
    return pa.schema([(field.name, _column(hints[field.name])) for field in dataclasses.fields(record)])


def _column(hint: Any) -> pa.DataType:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return pa.string()
    if origin in (tuple, list):
        return pa.list_(_column(arguments[0]))
    if origin in (typing.Union, types.UnionType):
        return _column(next(kind for kind in arguments if kind is not type(None)))
    if dataclasses.is_dataclass(hint):
        return pa.struct(list(schema_of(typing.cast(type, hint))))
    return PLAIN[hint]


def table_of(records: Sequence[Any], record: type) -> pa.Table:
    """The records as a table, also when there are none."""
    return pa.Table.from_pylist([_row(item) for item in records], schema=schema_of(record))


def _row(record: Any) -> dict[str, Any]:
    """The record as values that Arrow takes; dataclasses.asdict copies each of them, too."""
    return {name: _value(getattr(record, name)) for name in record.__dataclass_fields__}


def _value(value: Any) -> Any:
    if value is None or type(value) in PLAIN:
        return value
    if isinstance(value, tuple | list):
        return [_value(each) for each in value]
    return _row(value) if dataclasses.is_dataclass(value) else value


def records_of(rows: Iterable[dict[str, Any]], record: type) -> list[Any]:
    """Rows of a table as records again."""
    return [record(**{name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}) for row in rows]


def rows_in(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file; in memory is one row group of it, and a few rows as values."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):  # one reader for all of them keeps what it has read until its end
            for some in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=columns):
                yield from some.to_pylist()


def write(path: Path, records: Sequence[Any], record: type) -> None:
    """Writes the records as Parquet; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    pq.write_table(table_of(records, record), partial)
    partial.replace(path)
