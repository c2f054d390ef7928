"""The rows of a benchmark: of a pinned commit of the hub, or of a local copy that is laid out like it.

A local copy is a folder with the hub's Parquet files (`<config>/<split>-00000-of-00001.parquet` or
`data/<split>-…`), one Parquet file, or one .tsv or .jsonl. What is not the pinned data
(columns, counts, ids) is refused.
"""

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any, get_args

from perception_r1.benchmarks.item import Item
from perception_r1.errors import BadProblem, ConfigError
from perception_r1.prompt import MARK
from perception_r1.records import AnswerType
from perception_r1.sections import Data

MOVING = ("main", "master", "HEAD", "latest")  # revisions that may hold other rows tomorrow
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A configuration and a split of a dataset, and how many rows it has."""

    config: str
    split: str
    rows: int  # 0: not known

    def __str__(self) -> str:
        return " ".join(filter(None, (self.config, self.split)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Where a benchmark's rows are on the hub and what they look like; no revision: we do not know a commit."""

    name: str
    repo: str
    revision: str = ""
    parts: tuple[Part, ...]
    columns: Mapping[str, str]  # the Arrow types of the columns that are read; "image" and "images" are pictures
    optional: Mapping[str, str] = field(default_factory=dict)  # columns that not every part has
    others: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)  # further splits
    secret: tuple[str, ...] = ()  # the splits whose answers are not published: they are empty

    def chosen(self, split: str) -> tuple[Part, ...]:
        """The parts that are asked for: those of the benchmark, or those of another split."""
        if not split or split == self.parts[0].split:
            return self.parts
        if split not in self.others:
            known = ", ".join([self.parts[0].split, *self.others])
            raise ConfigError(f"evaluate.data.{self.name}.split: {split!r} is unknown; known: {known}")
        return self.others[split]


@dataclass(frozen=True, slots=True)
class Line:
    """A row, the part that it is of, and how it is named in a complaint."""

    row: Row
    part: Part
    number: int  # in its part
    where: str

    def text(self, column: str) -> str:
        """A column as text; empty where there is none."""
        value = self.row.get(column)
        return "" if value is None else str(value).strip()

    def texts(self, column: str) -> tuple[str, ...]:
        """A column that is a list of texts."""
        values = self.row.get(column)
        if values is not None and not isinstance(values, list):
            raise BadProblem(f"{self.where}: {column} is {str(values)[:40]!r}; expected a list")
        return tuple(str(value).strip() for value in values or ())


def drawn(dataset: Dataset, item: Callable[[Line], Item], limit: int, seed: int, data: Data) -> Iterator[Item]:
    """The items of all rows, or about `limit` of them: whole groups that a hash draws. No two have one id."""
    parts = dataset.chosen(data.split)
    share = limit / (data.rows or sum(part.rows for part in parts)) if limit else 1.0
    seen: set[str] = set()
    for line in lines(dataset, data):
        made = _made(item, line)
        if dataset.repo and not made.problem.answer and line.part.split not in dataset.secret:
            raise BadProblem(f"{line.where}: it has no answer, and the answers of {line.part.split} are published")
        if made.problem.id in seen:
            raise BadProblem(
                f"{line.where}: the id {made.problem.id!r} was there before; ids pair the models' responses"
            )
        seen.add(made.problem.id)
        if _fraction(seed, made.problem.group) < share:
            yield made


def _made(item: Callable[[Line], Item], line: Line) -> Item:
    """The item of a row; raises BadProblem where it cannot be one."""
    try:
        made = item(line)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadProblem(f"{line.where}: the row is not laid out as it should be: {error}") from error
    if not made.problem.question.replace(MARK, "").strip():
        raise BadProblem(f"{line.where}: it asks nothing")
    if (offered := len(made.choices or made.problem.choices)) > len(ascii_uppercase):
        raise BadProblem(f"{line.where}: it has {offered} choices, more than there are letters")
    if made.problem.answer_type not in get_args(AnswerType):
        known = ", ".join(get_args(AnswerType))
        raise BadProblem(f"{line.where}: the answer type {made.problem.answer_type!r} is unknown; known: {known}")
    return made


def _fraction(seed: int, group: str) -> float:
    """A number in [0, 1) that only the group and the seed decide, so that a group is drawn whole."""
    return int.from_bytes(hashlib.sha256(f"{seed} {group}".encode()).digest()[:8]) / 2**64


def lines(dataset: Dataset, data: Data) -> Iterator[Line]:
    """The rows of all parts in order; raises where columns are missing or a count is not the pinned one."""
    parts, counts = dataset.chosen(data.split), []
    for part in parts:
        number = 0
        for row in _rows(dataset, part, data):
            if not number:
                _check_columns(dataset, row, part)
            yield Line(row, part, number, f"{dataset.name} {part}, row {number}")
            number += 1
        counts.append(number)
    _check_counts(dataset, parts, counts, data)


def check_data(dataset: Dataset, data: Data) -> None:
    """Raises ConfigError where neither we nor the configuration name data that stay the same, or a split is unknown."""
    dataset.chosen(data.split)
    if data.path or (data.revision or dataset.revision) not in ("", *MOVING):
        return
    section, repo = f"evaluate.data.{dataset.name}", data.repo or dataset.repo
    if not repo:
        raise ConfigError(f"{section}: its rows are your own; name their file as path")
    why = f"{repo} may change under {data.revision!r}" if data.revision else f"no commit of {repo} is known to us"
    raise ConfigError(
        f"{section}: {why}; `git ls-remote https://huggingface.co/datasets/{repo} HEAD` prints today's, which goes in "
        f"--set {section}.revision=COMMIT; a local copy goes in --set {section}.path=FOLDER"
    )


def files(dataset: Dataset, data: Data) -> list[Path]:
    """The files of a local copy that are read, in order; raises ConfigError where a part has none."""
    path = Path(data.path)
    return [file for part in dataset.chosen(data.split) for file in _files(dataset, part, path)]


def _rows(dataset: Dataset, part: Part, data: Data) -> Iterator[Row]:
    if not data.path:
        return _hub(dataset, part, data)
    return (row for file in _files(dataset, part, Path(data.path)) for row in TABLES[file.suffix](file))


def _files(dataset: Dataset, part: Part, path: Path) -> list[Path]:
    """The Parquet files of a part in a folder that is laid out as the hub's is, or the one file that is named."""
    if path.is_file():
        if path.suffix not in TABLES:
            raise ConfigError(f"evaluate.data.{dataset.name}.path: {path} is no folder and none of {', '.join(TABLES)}")
        return [path]
    if not path.exists():
        raise ConfigError(f"evaluate.data.{dataset.name}.path: there is no {path}; correct the path")
    here = sorted(path.rglob("*.parquet"))
    found = [file for file in here if _is_of(part, file.relative_to(path))]
    if not found:
        has = ", ".join(str(file.relative_to(path)) for file in here[:5]) or "no Parquet file"
        raise ConfigError(f"evaluate.data.{dataset.name}.path: {path} has no Parquet file of {part}; it has {has}")
    return found


def _is_of(part: Part, file: Path) -> bool:
    split = file.stem == part.split or file.stem.startswith(f"{part.split}-")
    return split and (not part.config or part.config in (*file.parts, file.stem))


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa

    from perception_r1.table import rows_in

    try:
        yield from rows_in(path)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path} cannot be read as Parquet: {error}") from None


def _tsv(path: Path) -> Iterator[Row]:
    """The rows of a table whose pictures are base64; a list of them is one in JSON."""
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                listed = (row.get("image") or "").startswith("[")
                yield {**row, "image": json.loads(row["image"].replace("'", '"'))} if listed else row
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a table: {error}") from None


def _jsonl(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8") as file:
            for row in (json.loads(line) for line in file if line.strip()):
                if not isinstance(row, dict):
                    raise ConfigError(f"{path} has a line that is no object: {str(row)[:40]}")
                yield row
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON lines: {error}") from None


TABLES: Mapping[str, Callable[[Path], Iterator[Row]]] = {".parquet": _parquet, ".tsv": _tsv, ".jsonl": _jsonl}


def _hub(dataset: Dataset, part: Part, data: Data) -> Iterator[Row]:
    """The rows of a part of the hub's dataset, streamed, with their pictures still encoded."""
    import datasets

    check_data(dataset, data)
    repo, revision = data.repo or dataset.repo, data.revision or dataset.revision
    try:
        rows = datasets.load_dataset(
            repo, name=part.config or None, revision=revision, split=part.split, streaming=True
        )
    except (OSError, ValueError) as error:  # not there, not reachable, no such split
        told = str(error).splitlines()[0]
        raise ConfigError(
            f"evaluate.data.{dataset.name}: {repo} at {revision} cannot be opened: {told}; a local copy goes in path"
        ) from None
    yield from rows.decode(False)


def _check_columns(dataset: Dataset, row: Row, part: Part) -> None:
    if lacking := [column for column in dataset.columns if column not in row]:
        raise ConfigError(
            f"{dataset.name} {part} has no column {lacking[0]!r}; it has {', '.join(row)}; is it {dataset.repo}?"
        )


def _check_counts(dataset: Dataset, parts: tuple[Part, ...], counts: list[int], data: Data) -> None:
    if data.rows:
        if sum(counts) != data.rows:
            raise BadProblem(
                f"{dataset.name} has {sum(counts):,} rows; evaluate.data.{dataset.name}.rows says {data.rows:,}"
            )
        return
    for part, count in zip(parts, counts, strict=True):
        if part.rows and count != part.rows:
            raise BadProblem(
                f"{dataset.name} {part} has {count:,} rows, and {part.rows:,} are pinned; take the pinned data, or say "
                f"evaluate.data.{dataset.name}.rows = {sum(counts)} if this is what you want"
            )
