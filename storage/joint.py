"""How often each combination of a yes-or-no column occurs over several Parquet files whose rows have a key.

    joint([Path("base.parquet"), Path("trained.parquet")], key="item", value="correct")

Bit i of a combination is file i. The rows are never joined where they need not be: files that were written by one
program from one list hold their keys in the same order, byte for byte, and are then read side by side.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow.parquet as pq

from storage.catalog import one_file, quoted, text
from storage.errors import BadData

SQL = Path(__file__).parent / "sql"
MOST_FILES = 62  # bits of a signed integer of SQL
MEMORY = "800MB"  # of a join by key; what is more goes to a temporary folder


class Combination(NamedTuple):
    """In which files the value is true, in which it is known at all, and how many keys are so."""

    true_bits: int
    known_bits: int
    rows: int


def joint(files: Sequence[Path], key: str, value: str) -> list[Combination]:
    """The combinations that occur; raises BadData where two files do not hold the same keys, each once."""
    if not 1 <= len(files) <= MOST_FILES:
        raise BadData(f"expected 1 to {MOST_FILES} files, got {len(files)}")
    for file in files:
        _check_columns(file, key, value)
    every = (1 << len(files)) - 1
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'; SET temp_directory = {text(spill)}")
        in_order = len({_bytes_of(file, key) for file in files}) == 1 and _once(connection, files[0], key)
        query = _in_order(files, value) if in_order else _by_key(files, key, value)
        found = connection.execute(query).fetchall()
    odd = [(example, held_by) for _, _, held_by, times, _, example in found if (held_by, times) != (every, len(files))]
    if odd:
        raise BadData(_said(files, *min(odd)))
    return [Combination(true, known, rows) for true, known, _, _, rows, _ in found]


def constants(file: Path, columns: Sequence[str]) -> dict[str, Any]:
    """The columns of these that the file has, with the one value of each; raises BadData where one has several."""
    found = {}
    metadata = _metadata(file)
    names = metadata.schema.to_arrow_schema().names
    for column in columns:
        if column in names:
            values = _values(metadata, names.index(column))
            if len(values) != 1:
                some = ", ".join(sorted(map(str, values))[:3]) or "no statistics"
                raise BadData(f"{file}: expected one {column} a file, got {some}")
            found[column] = values.pop()
    return found


def _values(metadata: pq.FileMetaData, place: int) -> set[Any]:
    """The least and greatest values of a column in the statistics of the row groups."""
    groups = (metadata.row_group(number).column(place) for number in range(metadata.num_row_groups))
    known = [group.statistics for group in groups if group.statistics is not None and group.statistics.has_min_max]
    return {value for statistics in known for value in (statistics.min, statistics.max)}


def _metadata(file: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except OSError as error:
        raise BadData(f"{file} cannot be read as Parquet: {error}") from None
    except ValueError as error:  # what pyarrow says of another format
        raise BadData(f"{file} is not Parquet: {error}") from None


def _check_columns(file: Path, key: str, value: str) -> None:
    schema = _metadata(file).schema.to_arrow_schema()
    if missing := [name for name in (key, value) if name not in schema.names]:
        raise BadData(f"{file} has no column {missing[0]!r}; columns: {', '.join(schema.names)}")
    if str(schema.field(value).type) != "bool":
        raise BadData(f"{file}: {value} must be true or false, got {schema.field(value).type}")


def _bytes_of(file: Path, key: str) -> bytes:
    """A digest of the key column as it lies in the file: equal bytes are equal keys in equal order, not conversely."""
    metadata, digest = _metadata(file), hashlib.blake2b()
    place = metadata.schema.to_arrow_schema().names.index(key)
    with file.open("rb") as opened:
        for number in range(metadata.num_row_groups):
            chunk = metadata.row_group(number).column(place)
            form = (chunk.compression, chunk.encodings, chunk.num_values, chunk.physical_type)
            digest.update(repr(form).encode())
            opened.seek(min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset))
            digest.update(opened.read(chunk.total_compressed_size))
    return digest.digest()


def _once(connection: duckdb.DuckDBPyConnection, file: Path, key: str) -> bool:
    """Whether no key of the file repeats; where one does, the join by key says which."""
    counted = f"SELECT count(DISTINCT {quoted(key)}) = count(*) FROM read_parquet({one_file(file)})"
    return bool(connection.execute(counted).fetchall()[0][0])


def _in_order(files: Sequence[Path], value: str) -> str:
    parts = [f"(SELECT {quoted(value)} AS value FROM read_parquet({one_file(f)})) AS f{i}" for i, f in enumerate(files)]
    true_bits = [f"CASE WHEN f{i}.value THEN {1 << i} ELSE 0 END" for i in range(len(files))]
    known_bits = [f"CASE WHEN f{i}.value IS NULL THEN 0 ELSE {1 << i} END" for i in range(len(files))]
    return (
        (SQL / "joint_in_order.sql")
        .read_text()
        .format(
            true_bits=" + ".join(true_bits),
            known_bits=" + ".join(known_bits),
            every=(1 << len(files)) - 1,
            count=len(files),
            sources=" POSITIONAL JOIN ".join(parts),
        )
    )


def _by_key(files: Sequence[Path], key: str, value: str) -> str:
    parts = [
        f"SELECT {quoted(key)} AS key, {quoted(value)} AS value, CAST({1 << i} AS BIGINT) AS bit "
        f"FROM read_parquet({one_file(file)})"
        for i, file in enumerate(files)
    ]
    return (SQL / "joint_by_key.sql").read_text().format(sources=" UNION ALL ".join(parts))


def _said(files: Sequence[Path], example: Any, held_by: int) -> str:
    without = [str(file) for i, file in enumerate(files) if not held_by >> i & 1]
    if without:
        return f"the files must hold the same keys: {example!r} is not in {', '.join(without[:3])}"
    return f"each key may come once in a file: {example!r} repeats in {files[0].parent}"
