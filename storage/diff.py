"""What changed between two versions of a table, row by row; or of a folder, file by file."""

from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from storage.artifact import Artifact
from storage.catalog import quoted, text
from storage.errors import BadData
from storage.folders import read_manifest
from storage.store import AnyRef, Store


@dataclass(frozen=True, slots=True)
class Diff:
    """Rows by key: the ones only after, the ones only before, and the ones whose `columns` differ."""

    before: str
    after: str
    key: tuple[str, ...]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    added: pa.Table
    removed: pa.Table
    changed: pa.Table

    def __bool__(self) -> bool:
        return bool(
            self.columns_added or self.columns_removed or len(self.added) or len(self.removed) or len(self.changed)
        )


def diff(store: Store, before: AnyRef, after: AnyRef, key: list[str] | None = None) -> Diff:
    """What `after` added, removed and changed. The key of a table is `key`, or its column "id"; of a folder, the path.

    `changed` has the key, the list `columns`, and each common column twice, as before.<column> and after.<column>.
    """
    versions = [store.whole(before), store.whole(after)]
    if versions[0].format != versions[1].format:
        raise BadData(f"{versions[0].version} is a {versions[0].format}, {versions[1].version} a {versions[1].format}")
    connection = duckdb.connect()
    columns = [_load(connection, store, version, table) for version, table in zip(versions, "ab", strict=True)]
    key = key or (["path"] if versions[0].format == "folder" else ["id"])
    _check_key(connection, versions, columns, key)
    if "columns" in key:
        raise BadData('a column named "columns" cannot be the key: the answer has one of its own')
    common = [column for column in columns[0] if column in columns[1] and column not in key]
    on = " AND ".join(f"a.{quoted(column)} IS NOT DISTINCT FROM b.{quoted(column)}" for column in key)
    order = ", ".join(f"{quoted(column)}" for column in key)

    def rows(query: str) -> pa.Table:
        return connection.sql(query).to_arrow_table()

    return Diff(
        before=versions[0].version,
        after=versions[1].version,
        key=tuple(key),
        columns_added=tuple(column for column in columns[1] if column not in columns[0]),
        columns_removed=tuple(column for column in columns[0] if column not in columns[1]),
        added=rows(f"SELECT * FROM b ANTI JOIN a ON {on} ORDER BY {order}"),
        removed=rows(f"SELECT * FROM a ANTI JOIN b ON {on} ORDER BY {order}"),
        changed=rows(_changed_query(key, common, on)),
    )


def _changed_query(key: list[str], common: list[str], on: str) -> str:
    differs = [f"CASE WHEN a.{quoted(c)} IS DISTINCT FROM b.{quoted(c)} THEN {text(c)} END" for c in common]
    names = f"list_filter([{', '.join(differs)}]::VARCHAR[], lambda name: name IS NOT NULL)"
    keys = ", ".join(f"a.{quoted(column)}" for column in key)
    both = "".join(
        f", a.{quoted(c)} AS {quoted('before.' + c)}, b.{quoted(c)} AS {quoted('after.' + c)}" for c in common
    )
    return (
        f"SELECT * FROM (SELECT {keys}, {names} AS columns{both} FROM a JOIN b ON {on}) "
        f"WHERE len(columns) > 0 ORDER BY {', '.join(quoted(column) for column in key)}"
    )


def _load(connection: duckdb.DuckDBPyConnection, store: Store, version: Artifact, table: str) -> list[str]:
    """Names the version's rows in SQL and returns its columns."""
    if version.format == "folder":
        entries = [{"bytes": None, "sha256": None} | entry for entry in read_manifest(store.place, version.digest)]
        schema = pa.schema([("path", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())])
        connection.register(table, pa.Table.from_pylist(entries, schema=schema))
        return list(schema.names)
    connection.execute(f"CREATE VIEW {table} AS FROM read_parquet({text(str(store.path(version)))})")
    return [column for column, _ in version.schema]


def _check_key(
    connection: duckdb.DuckDBPyConnection, versions: list[Artifact], columns: list[list[str]], key: list[str]
) -> None:
    for version, table, has in zip(versions, "ab", columns, strict=True):
        missing = [column for column in key if column not in has]
        if missing:
            raise BadData(
                f"{version.version} has no column {', '.join(missing)} to be the key; it has: {', '.join(has)}"
            )
        names = ", ".join(quoted(column) for column in key)
        twice: Any = connection.execute(
            f"SELECT {names} FROM {table} GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if twice:
            raise BadData(f"{names} is no key of {version.version}: {twice} occurs more than once; name more columns")
