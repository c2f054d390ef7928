"""Two files of outcomes into one paired table, or a refusal that names what does not fit."""

import csv
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

RIGHT = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
NAMED = 5  # ids in a refusal


@dataclass(frozen=True)
class PairedCells:
    """a both right, b only the first, c only the second, d neither."""

    a: int
    b: int
    c: int
    d: int


def pair_outcomes(first: Mapping[Hashable, bool], second: Mapping[Hashable, bool]) -> PairedCells:
    """The paired table of two models on the same items; raises ValueError where the items differ."""
    if not first and not second:
        raise ValueError("there are no items to compare")
    missing = [f"only in the first: {_some(first.keys() - second.keys())}"] if first.keys() - second.keys() else []
    missing += [f"only in the second: {_some(second.keys() - first.keys())}"] if second.keys() - first.keys() else []
    if missing:
        raise ValueError(
            f"the items must be the same in both ({len(first):,} and {len(second):,}); {'; '.join(missing)}"
        )
    for item, right in (*first.items(), *second.items()):
        if not isinstance(right, bool | np.bool_) and not (isinstance(right, int | np.integer) and right in (0, 1)):
            raise ValueError(f"the outcome of item {item!r} must be True, False, 1 or 0, got {right!r}")
    both = sum(bool(right and second[item]) for item, right in first.items())
    right_first, right_second = sum(map(bool, first.values())), sum(map(bool, second.values()))
    b, c = right_first - both, right_second - both
    return PairedCells(both, b, c, len(first) - both - b - c)


def csv_records(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file by column, blank lines left out.

    Raises ValueError where a value's column is not certain: a name comes twice, or a row has more values than columns.
    """
    rows = csv.reader(lines)
    columns = next(rows, [])
    if twice := [name for name, times in Counter(columns).items() if times > 1]:
        raise ValueError(f"the column {twice[0]!r} comes twice: which of the two is meant?")
    for number, row in enumerate(filter(None, rows), 1):
        if any(row[len(columns) :]):
            raise ValueError(f"row {number} has {len(row)} values for {len(columns)} columns: put texts in quotes")
        yield dict(zip(columns, row + [""] * (len(columns) - len(row)), strict=False))


def read_outcomes(
    records: Iterable[Mapping[str, str]], id: str = "id", correct: str = "correct"
) -> dict[Hashable, bool]:
    """The outcome of each item of a CSV file's records; raises ValueError for repeats and for other values."""
    outcomes: dict[Hashable, bool] = {}
    for number, record in enumerate(records, 1):
        item, value = _cell(record, id, number), _cell(record, correct, number).strip().lower()
        if value not in RIGHT:
            raise ValueError(
                f"row {number}, item {item!r}: {correct} must be 0, 1, true or false, got {record[correct]!r}"
            )
        if item in outcomes:
            raise ValueError(f"row {number}: item {item!r} comes a second time; each item may come once")
        outcomes[item] = RIGHT[value]
    return outcomes


def _cell(record: Mapping[str, str], column: str, number: int) -> str:
    value = record.get(column)
    if column not in record:
        raise ValueError(f"there is no column {column!r}; columns: {', '.join(str(name) for name in record)}")
    if value is None or value == "":
        raise ValueError(f"row {number}: {column} is empty")
    return value


def _some(items: Iterable[Hashable]) -> str:
    """The first few ids of many."""
    names = sorted(map(str, items))
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
