"""How far the work is: bars with the time left where somebody watches, a line for each thing done where nobody does."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.pages import Watch, mirror

_guard = threading.Lock()
_screen: Any = None  # the one live display of this process, while anything is under way
_users = 0


@contextmanager
def watching(title: str) -> Iterator[Watch]:
    """Gives a callback(done, total, says) that shows how far the thing is; several may be under way at once."""
    started, page = time.monotonic(), mirror(title)
    if not sys.stderr.isatty():
        yield page
        print(f"{title}: done in {time.monotonic() - started:.0f} s", file=sys.stderr)
        return
    from rich.markup import escape

    screen = _taken()
    bar = screen.add_task(title, total=None)

    def show(done: int, total: int, says: str = "") -> None:
        told = f"{title} [dim]{escape(says)}[/]" if says else title
        screen.update(bar, completed=done, total=total, description=told)
        page(done, total, says)

    try:
        yield show
        screen.update(bar, completed=1, total=1, visible=False)
        screen.console.print(f"[green]✓[/] {title} [dim]{time.monotonic() - started:.0f} s[/]", highlight=False)
    finally:
        screen.remove_task(bar)
        _given_back()


def say(line: str) -> None:
    """Prints a line above the bars, or where there are none."""
    with _guard:
        if _screen is None:
            print(line, file=sys.stderr)
        else:
            _screen.console.print(line, markup=False, highlight=False)


def _taken() -> Any:
    global _screen, _users
    with _guard:
        if _screen is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            _screen = Progress(*columns, console=Console(stderr=True), transient=True)
            _screen.start()
        _users += 1
        return _screen


def _given_back() -> None:
    global _screen, _users
    with _guard:
        _users -= 1
        if not _users:
            _screen.stop()
            _screen = None
