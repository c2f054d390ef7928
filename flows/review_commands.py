"""Annotations before people: a blinded sheet out, verdicts and agreement in."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.screen import print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perception_r1.records import Problem
    from storage import Artifact, Store


@click.group("review")
def review() -> None:
    """Have people judge annotations, without knowing where they come from."""


@review.command("sheet")
@click.argument("ref")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--count", default=100, show_default=True, help="How many statements.")
@click.option("--seed", default=0, show_default=True, help="Another seed draws others.")
@click.pass_obj
def sheet(path: Path | None, ref: str, folder: Path, count: int, seed: int) -> None:
    """Write sheet.html and sheet.csv for the annotations REF to FOLDER, and key.json, which is not for reviewers."""
    import storage
    from perception_r1.annotate.review import drawn, write_sheet
    from perception_r1.records import Annotation
    from perception_r1.table import records_of

    store = storage.open_store(path)
    version = _annotations(store, ref)
    items = drawn(records_of(store.get(version).to_pylist(), Annotation), count, seed)
    write_sheet(folder, items, _problems(store, version), version.version)
    click.echo(
        f"{folder / 'sheet.html'}: {len(items)} statements; then, with a file named after each person: "
        f"perception-r1 review read {version.version} {folder} ann.csv bob.csv"
    )


@review.command("read")
@click.argument("ref")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("sheets", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.pass_obj
def read(path: Path | None, ref: str, folder: Path, sheets: tuple[Path, ...]) -> None:
    """Read the filled-in SHEETS, one a person, of the sheet in FOLDER; keep the verdicts; print how good REF is."""
    import storage
    from perception_r1.annotate.review import Review, findings, read_reviews
    from perception_r1.table import table_of

    store = storage.open_store(path)
    version = _annotations(store, ref)
    reviews = read_reviews(folder, sheets, version.version)
    kept = store.put("reviews", version.name, table_of(reviews, Review), parents=[version])
    rows = [asdict(finding) for finding in findings(reviews)]
    shown = [
        [row["what"], row["n"], row["k"], *(_number(row[name]) for name in ("share", "low", "high"))] for row in rows
    ]
    print_table(["what", "of", "count", "share", "low", "high"], shown, right=("of", "count", "share", "low", "high"))
    click.echo(f"The verdicts: {kept.version}")


def _annotations(store: "Store", ref: str) -> "Artifact":
    from perception_r1.errors import ConfigError

    version = store.at(ref)
    if version.kind != "annotations":
        raise ConfigError(f"{version.version} holds no annotations; name some, as annotations/embedded")
    return version


def _problems(store: "Store", annotations: "Artifact") -> "Iterator[Problem]":
    """The problems that the annotations are of, a row group at a time."""
    from perception_r1.records import Problem
    from perception_r1.table import records_of

    parent = next(parent.version for parent in annotations.parents if parent.version.startswith("problems/"))
    return (problem for batch in store.stream(parent) for problem in records_of(batch.to_pylist(), Problem))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


REVIEW_COMMANDS = (review,)
