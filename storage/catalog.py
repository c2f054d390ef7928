"""SQL over the store: DuckDB reads the Parquet files, in a private in-memory database, and writes nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.artifact import check_kind, object_key
from storage.errors import BadData, NotFound, Refused
from storage.folders import read_manifest
from storage.place import temporary
from storage.records import records

if TYPE_CHECKING:
    from storage.store import Store

VIEWS = Path(__file__).parent / "sql" / "views.sql"
DATABASE = "catalog.duckdb"
FILE = "_perception_r1_file"  # a column that no table has
SqlError = duckdb.Error  # what a relation raises while its rows are fetched
FILE_FORMATS = {".parquet": "FORMAT parquet", ".csv": "FORMAT csv, HEADER", ".jsonl": "FORMAT json"}


def sql(query: str, store: "Store | None" = None) -> duckdb.DuckDBPyRelation:
    """The answer to one SELECT over the store, as a DuckDB relation (.df(), .pl(), .arrow(), .fetchall(), .show()).

    Tables: one view a kind with the latest version of each name, `<kind>_versions` with all, `<kind>_open` with the
    durable rows of logs still being written, and `versions`, `lineage`, `tags`. Raises Refused for what writes or
    cannot be asked.
    """
    with _refused():
        return _ready_for(query, store).sql(query)


def save(query: str, target: Path, store: "Store | None" = None) -> Path:
    """Writes the answer to one SELECT to a .parquet, .csv or .jsonl file, whole or not at all."""
    if not target.parent.is_dir():
        raise BadData(f"cannot write {target}: the folder {target.parent} does not exist")
    if target.suffix not in FILE_FORMATS:
        raise BadData(f"cannot write {target.name!r}: the name must end in {', '.join(FILE_FORMATS)}")
    partial = target.with_name(f".{target.name}.partial")
    with _refused():
        connection = _ready_for(query, store)
        connection.execute(f"CREATE VIEW _answer AS {query}")
    try:
        with _refused():
            connection.execute(f"COPY (FROM _answer) TO {text(str(partial))} ({FILE_FORMATS[target.suffix]})")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


@contextmanager
def _refused() -> Iterator[None]:
    """Turns what DuckDB says of a question into Refused."""
    try:
        yield
    except duckdb.Error as error:
        raise Refused(f"this cannot be asked: {error}") from None


def _ready_for(query: str, store: "Store | None") -> duckdb.DuckDBPyConnection:
    """A connection with the views that the query names, if the query only reads."""
    if store is None:
        from storage.store import open_store

        store = open_store()
    connection = connect(store)
    _check_reads_only(connection, query)
    for view in _views_named(store, query):
        _create_view(connection, store, view)
    return connection


def connect(store: "Store") -> duckdb.DuckDBPyConnection:
    """A private in-memory connection with `versions`, `lineage` and `tags` as they are now."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for name, table in _catalogue(store).items():
        connection.register(name, table)
    connection.execute(VIEWS.read_text())
    return connection


def _catalogue(store: "Store") -> dict[str, pa.Table]:
    """The tables below the views. Tags and collections change after a version is made: they are read each time."""
    tags = [
        {"kind": kind, "name": name, "tag": tag, "version": version}
        for kind in store.place.names("tags")
        for name in store.place.names(f"tags/{kind}")
        for tag, version in store.versions.tags(kind, name).items()
    ]
    columns = [(column, pa.string()) for column in ("kind", "name", "tag", "version")]
    expired = [{"version": version} for version in store.versions.expired()]
    return {
        "_records": records(store),
        "tags": pa.Table.from_pylist(tags, schema=pa.schema(columns)),
        "_expired": pa.Table.from_pylist(expired, schema=pa.schema([("version", pa.string())])),
    }


def write_database(store: "Store") -> Path:
    """Writes catalog.duckdb anew, for DuckDB's own tools; its views name files relative to the store's folder."""
    target = store.place.scratch / DATABASE
    with temporary(store.place, ".duckdb") as path:
        path.unlink()  # DuckDB makes its file itself
        with duckdb.connect() as connection:
            # the oldest storage version that DuckDB still writes: command-line tools of any age open it
            connection.execute(f"ATTACH {text(str(path))} AS made (STORAGE_VERSION 'v1.0.0')")
            connection.execute("USE made")
            for name, table in _catalogue(store).items():
                connection.register("incoming", table)
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
                connection.unregister("incoming")
            connection.execute(VIEWS.read_text())
            connection.execute(f"SET file_search_path = {text(str(store.place.scratch))}")
            for kind in store.versions.kinds():
                rows = _versions_of(connection, kind, latest=True)
                if files := [(v, n, object_key(d, ".parquet"), s) for v, n, form, d, s in rows if form == "table"]:
                    connection.execute(_table_view(kind, files))
        path.replace(target)
    return target


def _check_reads_only(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    try:
        statements = connection.extract_statements(query)
    except duckdb.ParserException as error:
        raise Refused(f"not SQL: {error}") from None
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        what = ", ".join(str(statement.type).rpartition(".")[2] for statement in statements) or "nothing"
        raise Refused(
            f"expected one SELECT (or FROM, WITH, DESCRIBE, SUMMARIZE), got {what}: the store is read-only here"
        )


def _views_named(store: "Store", query: str) -> list[str]:
    """The kinds' views whose names occur in the query; making the others would cost a look at their files."""
    words = set(re.findall(r"[a-z][a-z0-9_]*", query.lower()))
    kinds = {*store.versions.kinds(), *_open_kinds(store)}
    return [view for kind in sorted(kinds) for view in (kind, f"{kind}_versions", f"{kind}_open") if view in words]


def _open_kinds(store: "Store") -> list[str]:
    folder = store.place.scratch / "logs"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _create_view(connection: duckdb.DuckDBPyConnection, store: "Store", view: str) -> None:
    if view.endswith("_open"):
        _create_open_view(connection, store, view)
        return
    kind = check_kind(view.removesuffix("_versions"))
    rows = _versions_of(connection, kind, latest=view == kind)
    if not rows:
        raise NotFound(f"there is no whole version of kind {kind!r}, so the view {view} has no columns")
    if files := [(v, n, str(store.path(store.at(v))), s) for v, n, form, _, s in rows if form == "table"]:
        connection.execute(_table_view(view, files))
        return
    entries = [
        {"path": entry["path"], "bytes": entry.get("bytes"), "sha256": entry.get("sha256"), "_version": v, "_name": n}
        for v, n, _, digest, _ in rows
        for entry in read_manifest(store.place, digest)
    ]
    connection.register("incoming", pa.Table.from_pylist(entries))
    connection.execute(f"CREATE TABLE {quoted(view)} AS SELECT * FROM incoming")
    connection.unregister("incoming")


Row = tuple[str, str, str, str, str]


def _versions_of(connection: duckdb.DuckDBPyConnection, kind: str, latest: bool) -> list[Row]:
    """version, name, format, digest and columns of the whole versions of a kind."""
    newest = "QUALIFY row_number() OVER (PARTITION BY name ORDER BY seq DESC) = 1" if latest else ""
    return connection.execute(
        f"""SELECT version, name, format, digest, CAST("schema" AS VARCHAR)
        FROM (SELECT * FROM versions WHERE kind = ? AND status = 'whole' {newest}) ORDER BY name, seq""",
        [kind],
    ).fetchall()


def _table_view(view: str, files: list[tuple[str, str, str, str]], owner: str = "_version") -> str:
    """A view of Parquet files with the version and name that each row belongs to; columns a file lacks are null."""
    paths = ", ".join(text(_not_a_pattern(path)) for path in dict.fromkeys(path for _, _, path, _ in files))
    owners = ", ".join(f"({text(version)}, {text(name)}, {text(path)})" for version, name, path, _ in files)
    by_name = len({columns for *_, columns in files}) > 1  # costs a look into every file
    return (
        f"CREATE VIEW {quoted(view)} AS SELECT data.* EXCLUDE ({FILE}), owner.{owner}, owner._name "
        f"FROM read_parquet([{paths}], union_by_name = {by_name}, filename = '{FILE}') AS data "
        f"JOIN (VALUES {owners}) AS owner({owner}, _name, {FILE}) USING ({FILE})"
    )


def _create_open_view(connection: duckdb.DuckDBPyConnection, store: "Store", view: str) -> None:
    kind = view.removesuffix("_open")
    files = sorted((store.place.scratch / "logs" / kind).glob("*/*/*.parquet"))
    if not files:
        raise NotFound(f"no log of kind {kind!r} is open, or none has durable rows yet")
    owners = [(path.parent.name, path.parent.parent.name, str(path), str(pq.read_schema(path))) for path in files]
    connection.execute(_table_view(view, owners, "_run"))


def _not_a_pattern(path: str) -> str:
    """The path with every letter that DuckDB would take for a pattern in brackets."""
    return re.sub(r"([][*?{}])", r"[\1]", path)


def one_file(path: Path) -> str:
    """The path as an SQL literal that DuckDB takes for this very file."""
    return text(_not_a_pattern(str(path)))


def text(value: str) -> str:
    """The value as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
