"""Rows of a data set with the name of where they stand: of the hub, of Parquet, of JSON lines, of a picture folder.

A picture folder is one with a `metadata.jsonl` or `metadata.csv` beside the pictures, whose `file_name` (or whatever
`columns.images` names) is a path inside the folder. What cannot be read as a row comes as a BadProblem in its place.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from perception_r1 import sections
from perception_r1.errors import BadProblem, ConfigError

METADATA = ("metadata.jsonl", "metadata.csv")

Row = Mapping[str, Any]
Rows = Iterator[Row | BadProblem]


def rows_of(settings: sections.Problems) -> tuple[Rows, str]:
    """The rows and the name of the data set; raises ConfigError where there is none."""
    path = Path(settings.path)
    if settings.source == "hub":
        return _hub(settings), settings.repo
    if settings.source == "folder":
        return _pictures(path), path.name
    files = _files(path, settings.source)
    reader = _parquet if settings.source == "parquet" else _jsonl
    return (row for file in files for row in reader(file)), path.stem


def folder_of(settings: sections.Problems) -> Path | None:
    """Where paths of pictures lead from; None where they are not followed."""
    path = Path(settings.path)
    if settings.source == "folder":
        return path
    return (path if path.is_dir() else path.parent) if settings.source == "jsonl" else None


def _files(path: Path, kind: str) -> list[Path]:
    """The file, or all those of the folder by their names."""
    files = sorted(path.glob(f"*.{kind}")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ConfigError(f"annotate.problems.path: there is no {NAMES[kind]} file at {path}")
    return files


NAMES = {"parquet": "Parquet", "jsonl": "JSON lines"}


def _parquet(path: Path) -> Rows:
    import pyarrow as pa

    from perception_r1.table import rows_in

    try:
        yield from rows_in(path)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path} cannot be read as Parquet: {error}") from None


def _jsonl(path: Path) -> Rows:
    with path.open("rb") as file:
        yield from (_line(line) for line in file if line.strip())


def _line(line: bytes) -> Row | BadProblem:
    try:
        row = json.loads(line)
    except ValueError as error:  # neither JSON nor UTF-8
        return BadProblem(f"no JSON: {error}")
    return row if isinstance(row, dict) else BadProblem(f"no JSON object but {type(row).__name__}")


def _pictures(folder: Path) -> Rows:
    """The rows of a picture folder's list."""
    lists = [folder / name for name in METADATA if (folder / name).is_file()]
    if not lists:
        raise ConfigError(
            f"annotate.problems.path: there is no {' or '.join(METADATA)} in {folder}; write one with a row a problem: "
            "file_name, problem, answer"
        )
    for row in _jsonl(lists[0]) if lists[0].suffix == ".jsonl" else _csv(lists[0]):
        named = isinstance(row, Mapping) and "images" not in row and row.get("file_name")
        yield {**row, "images": [named]} if named and isinstance(row, Mapping) else row


def _csv(path: Path) -> Rows:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as CSV: {error}") from None


def _hub(settings: sections.Problems) -> Rows:
    """The rows of a dataset of the hub, streamed, with their pictures still encoded."""
    import datasets

    try:
        rows = datasets.load_dataset(
            settings.repo, revision=settings.revision or None, split=settings.split, streaming=True
        )
    except (OSError, ValueError) as error:  # not there, not reachable, no such split
        raise ConfigError(f"annotate.problems: {settings.repo} cannot be opened: {error}") from None
    yield from rows.decode(False)
