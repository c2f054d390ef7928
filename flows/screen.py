"""How answers look on a terminal; plain and unbroken when nobody watches."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.tree import Tree

    from storage import Artifact, Lineage, Store, Why


def print_record(store: "Store", version: "Artifact") -> None:
    """Prints what a version's record says."""
    from rich.markup import escape
    from rich.pretty import Pretty
    from rich.table import Table

    record = version.record()
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_row("version", version.version)
    for name in ("format", "rows", "files", "bytes", "created", "duration_s", "cost", "digest", "cause", "run"):
        if name in record:
            grid.add_row(name, f"{record[name]:,}" if isinstance(record[name], int) else str(record[name]))
    grid.add_row("made from", "\n".join(parent.version for parent in version.parents) or "nothing in this store")
    for name in ("config", "code", "producer"):
        grid.add_row(name, Pretty(record[name]))
    tags = [tag for tag, where in store.versions.tags(version.kind, version.name).items() if where == version.version]
    grid.add_row("tags", " ".join(tags) or "none")
    if version.format == "table":
        grid.add_row(
            "object", escape(str(store.place.local(version.key))) if store.place.exists(version.key) else "gone"
        )
    print_rich(grid)


def lineage_tree(graph: "Lineage") -> "Tree":
    """The graph as a tree; what was shown above is not opened again."""
    from rich.tree import Tree

    seen = {graph.root}
    tree = Tree(graph.root)
    waiting = [(tree, other) for other in reversed(graph.arrows[graph.root])]
    while waiting:
        branch, version = waiting.pop()
        others = graph.arrows.get(version, ())
        if version in seen and others:
            branch.add(f"{version} (see above)")
            continue
        seen.add(version)
        child = branch.add(version)
        waiting += [(child, other) for other in reversed(others)]
    return tree


def why_tree(found: "Why", tree: "Tree | None" = None) -> "Tree":
    """The differing causes of two versions, and below them those of their parents."""
    from rich.markup import escape
    from rich.tree import Tree

    head = f"{found.before} → {found.after}: {'same content' if found.same_content else 'content differs'}"
    tree = tree.add(head) if tree else Tree(head)
    for what in ("config", "code", "packages", "parents"):
        for change in getattr(found, what):
            before, after = (("absent" if v is None else short(v, 48)) for v in (change.before, change.after))
            tree.add(escape(f"{what.rstrip('s')} {change.what}: {before} → {after}"))
    if not found.explained:
        tree.add(
            "no cause on record differs"
            + (
                ""
                if found.same_content
                else ": the stage gives another result each time it runs (unseeded, or a model's sampling)"
            )
        )
    for deeper in found.deeper:
        why_tree(deeper, tree)
    return tree


UNWATCHED_WIDTH = 200  # in a pipe: wide enough that nothing is broken over two lines


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a callback(done, total) that draws a bar with the time left, if a person watches."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_rich(value: Any) -> None:
    """Prints a table or tree; unbroken where nobody watches."""
    _console().print(value)


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else UNWATCHED_WIDTH, highlight=False)


def print_table(columns: Iterable[str], rows: Iterable[list[Any]], right: tuple[str, ...] = ()) -> None:
    """Prints rows under their column names."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(escape(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    _console().print(table)


def print_json(value: Any) -> None:
    """Prints a value for machines."""
    click.echo(json.dumps(_finite(value), default=_plain, ensure_ascii=False, indent=2))


def _finite(value: Any) -> Any:
    """The value with null for what JSON has no word for (NaN and infinities)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    return str(value)


def short(value: Any, width: int = 72) -> str:
    """The value on one line, cut at `width`."""
    text = f"<{len(value):,} bytes>" if isinstance(value, bytes) else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def counted(count: int, what: str) -> str:
    """A number of things in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
