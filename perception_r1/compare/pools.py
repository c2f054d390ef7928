"""Predictions sorted into pools: the outcomes of all runs of all models on one benchmark, as aligned vectors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Outcome = Literal["answer right", "all facts right"]
Codes = NDArray[np.int64]
Marked = NDArray[np.int8]

COLUMNS = {  # of predictions: all that a comparison reads
    "model": pa.string(),
    "seed": pa.int64(),
    "benchmark": pa.string(),
    "condition": pa.string(),
    "item": pa.string(),
    "group": pa.string(),
    "stratum": pa.string(),
    "correct": pa.bool_(),
    "facts": pa.int64(),
    "perceived": pa.bool_(),
    "sample": pa.int64(),  # only the first response to an item counts: others were drawn to measure something else
}
UNKNOWN, NONE = -1, -2  # an outcome that is not known; an item that has no such outcome


class Run(NamedTuple):
    """One model asked under one condition."""

    arm: str
    condition: str
    seed: int


@dataclass(frozen=True, slots=True)
class Marks:
    """The outcomes of one run, in the order of the items' codes."""

    item: Codes
    group: Codes
    stratum: Codes
    right: Marked  # 1, 0, or UNKNOWN
    facts: Codes  # how many visual facts are known of the item


@dataclass(frozen=True, slots=True)
class Pool:
    """What may be compared with each other; codes are places in `items`, `groups` and `strata`."""

    benchmark: str
    outcome: Outcome
    runs: Mapping[Run, Marks]
    items: list[str]
    groups: list[str]
    strata: list[str]


def pools(predictions: pa.Table | Iterable[Mapping[str, Any]]) -> list[Pool]:
    """The predictions by benchmark and outcome; items without known facts have no second outcome."""
    table = predictions if isinstance(predictions, pa.Table) else _as_table(predictions)
    table = table.filter(pc.equal(table["sample"], 0))
    if not table.num_rows:
        return []
    coded = {name: _coded(table[name]) for name in COLUMNS if COLUMNS[name] == pa.string()}
    seeds = table["seed"].combine_chunks().to_numpy(zero_copy_only=False)
    facts = table["facts"].combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    right: dict[Outcome, Marked] = {
        "answer right": _marked(table["correct"]),
        "all facts right": np.where(facts > 0, _marked(table["perceived"]), NONE).astype(np.int8),
    }
    found: dict[tuple[str, Outcome], dict[Run, Marks]] = {}
    for run, benchmark, rows in _runs(coded, seeds):
        for outcome in get_args(Outcome):
            kept = rows[right[outcome][rows] != NONE]
            if len(kept):
                item, group, stratum = (coded[name][1][kept] for name in ("item", "group", "stratum"))
                marks = Marks(item, group, stratum, right[outcome][kept], facts[kept])
                found.setdefault((benchmark, outcome), {})[run] = marks
    items, groups, strata = (coded[name][0] for name in ("item", "group", "stratum"))
    ordered = sorted(found, key=lambda key: (key[0], get_args(Outcome).index(key[1])))
    return [Pool(*key, found[key], items, groups, strata) for key in ordered]


def _as_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in COLUMNS} for row in rows], schema=pa.schema(COLUMNS))


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Codes]:
    """The distinct texts in order, and each row's place among them."""
    encoded = column.combine_chunks().dictionary_encode()
    labels = encoded.dictionary.to_pylist()
    order = sorted(range(len(labels)), key=labels.__getitem__)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return [labels[i] for i in order], place[encoded.indices.to_numpy(zero_copy_only=False)]


def _marked(column: pa.ChunkedArray) -> Marked:
    """1, 0, or UNKNOWN for null."""
    return column.cast(pa.int8()).fill_null(UNKNOWN).combine_chunks().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _runs(coded: Mapping[str, tuple[list[str], Codes]], seeds: Codes) -> Iterator[tuple[Run, str, Codes]]:
    """Each run with its benchmark and its rows, sorted by item; raises ValueError for an item that comes twice."""
    keys = [coded[name][1] for name in ("benchmark", "model", "condition")]
    order = np.lexsort((coded["item"][1], seeds, *keys[::-1]))
    sorted_keys = np.stack([key[order] for key in (*keys, seeds)])
    starts = np.flatnonzero((np.diff(sorted_keys) != 0).any(axis=0)) + 1
    for rows in np.split(order, starts):
        benchmark, model, condition = (coded[n][0][coded[n][1][rows[0]]] for n in ("benchmark", "model", "condition"))
        run = Run(model, condition, int(seeds[rows[0]]))
        items = coded["item"][1][rows]
        if (twice := items[1:][np.diff(items) == 0]).size:
            said = f"{run.arm}, seed {run.seed} on {benchmark} ({run.condition})"
            raise ValueError(f"{said}: item {coded['item'][0][twice[0]]!r} comes a second time; each may come once")
        yield run, benchmark, rows
