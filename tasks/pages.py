"""What is shown on Prefect's pages, where there are any: tables, texts, and how far the work is."""

import base64
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

SWITCH = "PERCEPTION_R1_PREFECT"
EVERY_S = 5.0  # between two updates of a progress page

Watch = Callable[..., None]  # done, total, and what else there is to say


def with_prefect() -> bool:
    """Whether flows and tasks are Prefect's."""
    return os.environ.get(SWITCH, "on") != "off"


def publish_markdown(key: str, text: str) -> None:
    """Shows the text on the page of the running Prefect run."""
    if inside_run():
        from prefect.artifacts import create_markdown_artifact

        create_markdown_artifact(text, key=_key(key))


def publish_table(key: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], says: str = "") -> None:
    """Shows the rows as a table on the page of the running Prefect run."""
    if inside_run():
        from prefect.artifacts import create_table_artifact

        table = [dict(zip(columns, map(shown, row), strict=True)) for row in rows]
        create_table_artifact(table, key=_key(key), description=says)


def shown(value: Any) -> Any:
    """A value as a person reads it: four digits of a number with decimals, nothing where there is none."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else value


def publish_picture(key: str, svg: str, says: str) -> None:
    """Shows the drawing on the page of the running Prefect run; it needs no other address."""
    if inside_run():
        from prefect.artifacts import create_image_artifact

        drawn = base64.b64encode(svg.encode()).decode()
        create_image_artifact(f"data:image/svg+xml;base64,{drawn}", key=_key(key), description=says)


def _key(key: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in key.lower())


def inside_run() -> bool:
    if not with_prefect():
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return bool(TaskRunContext.get() or FlowRunContext.get())


def mirror(title: str) -> Watch:
    """A callback(done, total, says) that shows on the page of the running Prefect run how far the thing is."""
    if not inside_run():
        return lambda done, total, says="": None
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    page: Any = create_progress_artifact(progress=0.0, key=_key(title), description=title)
    shown_s, shown = time.monotonic(), 0.0

    def show(done: int, total: int, says: str = "") -> None:
        nonlocal shown_s, shown
        share = 100.0 * done / max(total, 1)
        if share != shown and (time.monotonic() - shown_s > EVERY_S or done == total):
            shown_s, shown = time.monotonic(), share
            update_progress_artifact(page, progress=share, description=f"{title}: {says}" if says else title)

    return show
