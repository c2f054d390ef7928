"""The canonical digest of a table: what the rows say, whatever the chunks, encodings and Parquet writer.

Two tables have one digest exactly when they have the same column names in the same order, the same logical types, and
the same rows in the same order. Text is text whether its offsets have 32 or 64 bits or it is dictionary-encoded;
int32 and int64 differ. Nullability flags and schema metadata say nothing about the rows and do not count.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from storage.artifact import canonical
from storage.errors import BadData

REFUSED = (
    pa.types.is_union,
    pa.types.is_interval,
    pa.types.is_list_view,  # pyarrow 26 cannot cast them, and dies of a large one
    pa.types.is_large_list_view,
    pa.types.is_run_end_encoded,  # below the top level, where pyarrow cannot decode them
)


def canonical_type(kind: pa.DataType, column: str) -> pa.DataType:
    """The type that stands for all encodings of the same values, or BadData naming the column."""
    types = pa.types
    if types.is_dictionary(kind):
        return canonical_type(kind.value_type, column)
    if kind == pa.timestamp("s", getattr(kind, "tz", None)):
        return pa.timestamp("ms", kind.tz)  # Parquet has no seconds
    if kind == pa.time32("s"):
        return pa.time32("ms")
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_map(kind):
        return pa.map_(canonical_type(kind.key_type, column), canonical_type(kind.item_type, column))
    if types.is_fixed_size_list(kind):
        return pa.list_(canonical_type(kind.value_type, column), kind.list_size)
    if types.is_list(kind) or types.is_large_list(kind):
        return pa.list_(canonical_type(kind.value_type, column))
    if types.is_struct(kind) and kind.num_fields:
        return pa.struct([(field.name, canonical_type(field.type, f"{column}.{field.name}")) for field in kind])
    if isinstance(kind, pa.BaseExtensionType):
        return canonical_type(kind.storage_type, column)
    if types.is_struct(kind) and not kind.num_fields:
        raise BadData(f"column {column!r} is a struct without fields, which Parquet cannot hold; leave it out")
    if any(refused(kind) for refused in REFUSED):
        raise BadData(f"column {column!r} has type {kind}, which cannot be kept in Parquet; cast it to a plain type")
    return kind


def canonical_schema(schema: pa.Schema) -> pa.Schema:
    """The schema as it is stored: canonical types, all nullable, no metadata. Raises BadData for repeated names."""
    repeated = {name for name in schema.names if schema.names.count(name) > 1}
    if repeated or not schema.names:
        raise BadData(f"column names repeat: {sorted(repeated)}" if repeated else "a table needs at least one column")
    return pa.schema([(field.name, canonical_type(_decoded(field.type), field.name)) for field in schema])


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_run_end_encoded(kind) else kind


class TableDigest:
    """The digest of a table that arrives in batches of a canonical schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = [_Column(field.type) for field in schema]
        self._header = [[field.name, str(field.type)] for field in schema]
        self.rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Counts the rows of the batch in."""
        self.rows += batch.num_rows
        for column, array in zip(self._columns, batch.columns, strict=True):
            column.update(array)

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        parts = {"columns": self._header, "rows": self.rows, "digests": [c.digests() for c in self._columns]}
        return hashlib.sha256(b"table 1\n" + canonical(parts)).hexdigest()


class _Column:
    """One column as up to three byte streams (validity, lengths, values) and its children.

    Each stream is hashed on its own, which is what makes the result blind to where batches begin and end.
    """

    def __init__(self, kind: pa.DataType) -> None:
        self.kind = kind
        self.streams = [hashlib.sha256() for _ in range(3)]
        self.children = [_Column(child) for child in _children(kind)]

    def update(self, array: pa.Array) -> None:
        valid, lengths, values = self.streams
        if array.null_count:
            valid.update(array.is_valid().to_numpy(zero_copy_only=False).tobytes())
            array = array.drop_null()
        else:
            valid.update(b"\x01" * len(array))
        types = pa.types
        if types.is_null(self.kind) or not len(array):
            return
        if types.is_struct(self.kind):
            self._descend(array.flatten())
        elif types.is_fixed_size_list(self.kind):
            self._descend([array.flatten()])
        elif types.is_map(self.kind):
            bounds = _bounds(array)
            lengths.update(np.diff(bounds).astype("<i8").tobytes())
            self._descend([part[bounds[0] : bounds[-1]] for part in (array.keys, array.items)])
        elif types.is_list(self.kind):
            lengths.update(np.diff(_bounds(array)).astype("<i8").tobytes())
            self._descend([array.flatten()])
        elif types.is_string(self.kind) or types.is_binary(self.kind):
            bounds = _bounds(array)
            lengths.update(np.diff(bounds).astype("<i8").tobytes())
            if bounds[-1] > bounds[0]:
                values.update(memoryview(array.buffers()[2])[bounds[0] : bounds[-1]])
        elif types.is_boolean(self.kind):
            values.update(array.to_numpy(zero_copy_only=False).tobytes())
        else:
            width = self.kind.bit_width // 8
            values.update(memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width])

    def _descend(self, parts: list[pa.Array]) -> None:
        for child, part in zip(self.children, parts, strict=True):
            child.update(part)

    def digests(self) -> list[Any]:
        return [*(stream.hexdigest() for stream in self.streams), *(child.digests() for child in self.children)]


def _children(kind: pa.DataType) -> list[pa.DataType]:
    types = pa.types
    if types.is_struct(kind):
        return [field.type for field in kind]
    if types.is_map(kind):
        return [kind.key_type, kind.item_type]
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return [kind.value_type]
    return []


def _bounds(array: pa.Array) -> "np.ndarray[Any, np.dtype[np.int32]]":
    """The n + 1 offsets of a list, text or bytes array, sliced as the array is."""
    return np.frombuffer(array.buffers()[1], dtype="<i4", count=len(array) + 1, offset=array.offset * 4)


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
