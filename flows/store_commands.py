"""The commands that look at the store and look after it. Thin: each asks the store and shows the answer."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.screen import (
    counted,
    lineage_tree,
    print_json,
    print_record,
    print_rich,
    print_table,
    progress,
    short,
    size,
    why_tree,
)

if TYPE_CHECKING:
    from storage import Store

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table for people.")


@click.command()
@click.argument("pattern", required=False)
@click.option("--all", "every", is_flag=True, help="Every version, not only the newest of each name.")
@as_json
@click.pass_obj
def artifacts(path: Path | None, pattern: str | None, every: bool, as_json: bool) -> None:
    """List the artifacts; PATTERN is a kind or kind/name."""
    store = _open(path)
    from storage.catalog import text

    kind, _, name = map(text, (pattern or "").partition("/"))
    newest = "" if every else "QUALIFY row_number() OVER (PARTITION BY kind, name ORDER BY seq DESC) = 1"
    import storage

    found = storage.sql(
        "SELECT version, format, coalesce(rows, files) AS count, bytes, created, status, tags, "
        "count(*) OVER (PARTITION BY kind, name) AS versions FROM versions "
        f"WHERE ({kind} IN ('', kind)) AND ({name} IN ('', name)) {newest} ORDER BY kind, name, seq",
        store,
    )
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    if as_json:
        print_json(rows)
    elif not rows:
        _say_empty(store, pattern)
    else:
        print_table(
            ["version", "of", "content", "size", "made (UTC)", "status", "tags"],
            (
                [
                    row["version"],
                    row["versions"],
                    counted(row["count"] or 0, "row" if row["format"] == "table" else "file"),
                    size(row["bytes"] or 0),
                    f"{row['created']:%Y-%m-%d %H:%M:%S}" if row["created"] else "?",
                    row["status"],
                    " ".join(row["tags"] or ()),
                ]
                for row in rows
            ),
            right=("of", "content", "size"),
        )


@click.command()
@click.argument("ref")
@click.option("--rows", default=5, show_default=True, help="How many rows of a table to show.")
@as_json
@click.pass_obj
def show(path: Path | None, ref: str, rows: int, as_json: bool) -> None:
    """Show one version: what it holds, what it came from, who made it, its first rows."""
    store = _open(path)
    version = store.at(ref)
    if as_json:
        print_json({"version": version.version, **version.record()})
        return
    print_record(store, version)
    if version.version in store.versions.expired():
        click.echo("\nIts data was collected by gc; the record stays.")
    elif version.format == "folder":
        from storage.folders import read_manifest

        entries = read_manifest(store.place, version.digest)
        print_table(
            ["file", "bytes", "sha256"], ([e["path"], e.get("bytes"), e.get("sha256", "")[:12]] for e in entries)
        )
    else:
        batch = next(store.stream(version), None)
        head = batch.slice(0, rows).to_pylist() if batch else []
        print_table([c for c, _ in version.schema], ([short(value) for value in row.values()] for row in head))


@click.command()
@click.argument("ref")
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--depth", type=click.IntRange(min=1), help="How many generations. [all]")
@click.option("--dot", is_flag=True, help="Print the graph for Graphviz.")
@as_json
@click.pass_obj
def lineage(path: Path | None, ref: str, down: bool, depth: int | None, dot: bool, as_json: bool) -> None:
    """Show what a version was made from, to any depth."""
    import storage

    graph = storage.lineage(_open(path), ref, "down" if down else "up", depth)
    if dot:
        click.echo(graph.dot())
    elif as_json:
        print_json({"root": graph.root, "direction": graph.direction, "arrows": graph.arrows})
    else:
        print_rich(lineage_tree(graph))


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--key", help="The columns that identify a row, with commas between them. [id]")
@click.option("--rows", default=10, show_default=True, help="How many rows of each sort to show.")
@as_json
@click.pass_obj
def diff(path: Path | None, before: str, after: str, key: str | None, rows: int, as_json: bool) -> None:
    """Show the rows that differ between two versions of a table, or the files between two folders."""
    import storage

    found = storage.diff(_open(path), before, after, key.split(",") if key else None)
    tables = {"added": found.added, "removed": found.removed, "changed": found.changed}
    if as_json:
        shown = {name: table.slice(0, rows).to_pylist() for name, table in tables.items()}
        counts = {f"rows_{name}": table.num_rows for name, table in tables.items()}
        names = ("before", "after", "key", "columns_added", "columns_removed")
        print_json({name: getattr(found, name) for name in names} | counts | shown)
        return
    summary = ", ".join(f"{counted(table.num_rows, 'row')} {name}" for name, table in tables.items())
    click.echo(f"{found.before} → {found.after} by {', '.join(found.key)}: {summary}")
    for what, columns in (("added", found.columns_added), ("removed", found.columns_removed)):
        if columns:
            click.echo(f"columns {what}: {', '.join(columns)}")
    for name, table in tables.items():
        if table.num_rows:
            click.echo(f"\n{name} ({min(rows, table.num_rows):,} of {table.num_rows:,})")
            head = table.slice(0, rows).to_pylist()
            visible = _worth_showing(name, table.column_names, head)
            print_table(visible, ([_cell(row[column]) for column in visible] for row in head))


@click.command()
@click.argument("ref")
@click.argument("other", required=False)
@as_json
@click.pass_obj
def why(path: Path | None, ref: str, other: str | None, as_json: bool) -> None:
    """Explain why REF differs from OTHER (by default from the version before it)."""
    import storage

    found = storage.why(_open(path), ref, other)
    if as_json:
        print_json(found)
    else:
        print_rich(why_tree(found))


@click.command()
@click.argument("query")
@as_json
@click.option("--out", type=click.Path(path_type=Path), help="Write the answer to a .csv, .parquet or .jsonl file.")
@click.pass_obj
def sql(path: Path | None, query: str, as_json: bool, out: Path | None) -> None:
    """Ask one SELECT over the store.

    Tables: one view a kind (latest versions), KIND_versions (all), KIND_open (logs being written), and versions,
    lineage, tags. QUERY may be - to read it from standard input.
    """
    import storage
    from storage.catalog import SqlError

    try:
        query = sys.stdin.read() if query == "-" else query
        if out:
            click.echo(f"wrote {storage.save(query, out, _open(path))}")
            return
        answer = storage.sql(query, _open(path))
        if as_json:
            print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()])
        else:
            click.echo(str(answer).rstrip() if answer.columns else "no columns")
    except SqlError as error:
        raise click.UsageError(str(error)) from None


@click.command()
@as_json
@click.pass_obj
def verify(path: Path | None, as_json: bool) -> None:
    """Read every record and hash every object again; exit code 1 if anything is damaged."""
    import storage

    store = _open(path)
    with progress("hashing") as watch:
        findings = storage.verify(store, watch)
    if as_json:
        print_json(findings)
    elif not findings:
        whole = "is whole" if store.versions.kinds() else "holds nothing yet"
        click.echo(f"The store at {store.place} {whole}.")
    else:
        print_table(["", "what", "problem", "remedy"], ([f.level, f.what, f.problem, f.remedy] for f in findings))
    sys.exit(any(finding.level == "damaged" for finding in findings))


@click.command()
@click.option(
    "--keep", default=10, show_default=True, type=click.IntRange(min=1), help="Newest versions to keep of each name."
)
@click.option("--grace-hours", default=24.0, show_default=True, help="Keep what is younger.")
@click.option("--unfinished", is_flag=True, help="Also the work of runs that were killed and never finished.")
@click.option("--delete", is_flag=True, help="Do it. Without this, only say what would go.")
@as_json
@click.pass_obj
def gc(path: Path | None, keep: int, grace_hours: float, unfinished: bool, delete: bool, as_json: bool) -> None:
    """Collect the data of old versions that nothing holds, and what killed runs left behind.

    Held are tagged versions, the newest of each name, everything young, and all ancestors of these.
    """
    import storage

    store = _open(path)
    plan = storage.gc(store, keep=keep, grace_s=grace_hours * 3600, unfinished=unfinished, delete=delete)
    if as_json:
        print_json(plan)
        return
    for what in (*plan.versions, *plan.leftovers):
        click.echo(f"  {what}")
    verb = "Freed" if delete else "Would free"
    click.echo(
        f"{verb} {size(plan.bytes)}: the data of {counted(len(plan.versions), 'version')}, "
        f"{counted(len(plan.objects), 'object')}, {counted(len(plan.leftovers), 'leftover')}."
        + ("" if delete else " Nothing was touched; add --delete to do it.")
    )


@click.command()
@as_json
@click.pass_obj
def du(path: Path | None, as_json: bool) -> None:
    """Show what takes the space."""
    import storage

    store = _open(path)
    usage = storage.du(store)
    if as_json:
        print_json(usage)
        return
    if not usage:
        _say_empty(store, None)
        return
    rows = (
        [u.what, u.versions or "", size(u.logical_bytes) if u.versions else "", size(u.stored_bytes)] for u in usage
    )
    print_table(["what", "versions", "each alone", "stored"], rows, right=("versions", "each alone", "stored"))


@click.command()
@click.argument("ref")
@click.argument("target", type=click.Path(path_type=Path))
@click.pass_obj
def export(path: Path | None, ref: str, target: Path) -> None:
    """Write a version to a file: .tar with its whole ancestry, or its rows as .parquet, .csv or .jsonl."""
    import storage

    click.echo(f"wrote {storage.export(_open(path), ref, target)}")


@click.command()
@click.argument("ref")
@click.argument("target", type=click.Path(path_type=Path))
@click.pass_obj
def checkout(path: Path | None, ref: str, target: Path) -> None:
    """Lay the files of a stored folder (a checkpoint) out at TARGET, as your own."""
    click.echo(f"laid out {_open(path).checkout(ref, target)}")


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def import_(path: Path | None, source: Path) -> None:
    """Take in a .tar that `export` wrote, with the whole ancestry of its version."""
    import storage

    click.echo(f"imported {storage.import_bundle(_open(path), source).version}")


@click.command()
@click.argument("ref")
@click.argument("tag")
@click.pass_obj
def tag(path: Path | None, ref: str, tag: str) -> None:
    """Point TAG to a version, away from where it pointed; gc keeps what a tag points to."""
    version = _open(path).tag(ref, tag)
    click.echo(f"{version.kind}/{version.name}:{tag} is {version.version}")


@click.command()
@click.argument("ref")
@click.pass_obj
def untag(path: Path | None, ref: str) -> None:
    """Remove the tag that REF (kind/name:tag) names."""
    _open(path).untag(ref)


@click.command()
@click.pass_obj
def catalog(path: Path | None) -> None:
    """Write catalog.duckdb anew, for DuckDB's own tools."""
    import storage

    written = storage.write_database(_open(path))
    click.echo(f"wrote {written}\nopen it from its folder: cd '{written.parent}' && duckdb -readonly {written.name}")


STORE_COMMANDS = (
    artifacts,
    show,
    lineage,
    diff,
    why,
    sql,
    verify,
    gc,
    du,
    export,
    checkout,
    import_,
    tag,
    untag,
    catalog,
)


def _open(path: Path | None) -> "Store":
    import storage

    return storage.open_store(path)


def _worth_showing(name: str, columns: list[str], rows: list[dict[str, Any]]) -> list[str]:
    """All columns; of changed rows only the key, and those that did change in one of the rows."""
    if name != "changed":
        return columns
    changed = {column for row in rows for column in row["columns"]}
    return [c for c in columns if not c.startswith(("before.", "after.")) or c.partition(".")[2] in changed]


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else short(value)


def _say_empty(store: "Store", pattern: str | None) -> None:
    what = f"no artifact {pattern!r}" if pattern else "nothing yet"
    click.echo(f"The store at {store.place} has {what}. It fills when a stage runs; --store chooses another.")
