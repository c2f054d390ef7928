"""Rows of a data set with the name of where they stand: of the hub, of Parquet, of JSON lines, of folders.

A picture folder is one with a `metadata.jsonl` or `metadata.csv` beside the pictures, whose `file_name` (or whatever
`columns.images` names) is a path inside the folder. What cannot be read as a row comes as a BadProblem in its place.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from perception_r1 import sections
from perception_r1.annotate.inter_gps import problem_files, problem_rows
from perception_r1.annotate.pictures import file_of
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
    if settings.source == "inter_gps":
        return problem_rows(path), path.name
    files = _files(path, settings.source)
    reader = _parquet if settings.source == "parquet" else _jsonl
    return (row for file in files for row in reader(file)), path.stem


def folder_of(settings: sections.Problems) -> Path | None:
    """Where paths of pictures lead from; None where they are not followed."""
    path = Path(settings.path)
    if settings.source in ("folder", "inter_gps"):
        return path
    return (path if path.is_dir() else path.parent) if settings.source == "jsonl" else None


def content_of(settings: sections.Problems) -> str:
    """The digest of all that one's own files hold: they may change under their name. Of other sources it is empty."""
    if settings.source in ("world", "hub"):
        return ""
    path, digest = Path(settings.path), hashlib.sha256()
    home = path if path.is_dir() else path.parent
    for file in (*_lists(settings), *_named(settings)):
        try:
            with file.open("rb") as opened:
                held = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise ConfigError(f"annotate.problems: {file} cannot be read: {error.strerror}") from None
        digest.update(f"{os.path.relpath(file, home.resolve())} {held}\n".encode())
    return digest.hexdigest()


def _lists(settings: sections.Problems) -> Iterator[Path]:
    """The files that rows are read from."""
    path = Path(settings.path)
    if settings.source == "inter_gps":
        beside = ((file, file.with_name("logic_form.json")) for file in problem_files(path))
        yield from (file.resolve() for pair in beside for file in pair if file.is_file())
        return
    files = [_list_of(path)] if settings.source == "folder" else _files(path, settings.source)
    yield from (file.resolve() for file in files)


def _named(settings: sections.Problems) -> Iterator[Path]:
    """The pictures that rows name."""
    if (folder := folder_of(settings)) is None:
        return
    for row in rows_of(settings)[0]:
        held = row.get(settings.columns.images) if isinstance(row, Mapping) else None
        found = (file_of(each, folder) for each in (held if isinstance(held, list) else [held]))
        yield from (file for file in found if file)


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
    except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8, or 1,000 brackets deep
        return BadProblem(f"no JSON: {error}")
    return row if isinstance(row, dict) else BadProblem(f"no JSON object but {type(row).__name__}")


def _pictures(folder: Path) -> Rows:
    """The rows of a picture folder's list."""
    listed = _list_of(folder)
    for row in _jsonl(listed) if listed.suffix == ".jsonl" else _csv(listed):
        named = isinstance(row, Mapping) and "images" not in row and row.get("file_name")
        yield {**row, "images": [named]} if named and isinstance(row, Mapping) else row


def _list_of(folder: Path) -> Path:
    """The list beside the pictures; raises ConfigError where there is none."""
    found = next((folder / name for name in METADATA if (folder / name).is_file()), None)
    if not found:
        raise ConfigError(
            f"annotate.problems.path: there is no {' or '.join(METADATA)} in {folder}; write one with a row a problem: "
            "file_name, problem, answer"
        )
    return found


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
