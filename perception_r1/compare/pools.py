"""Predictions sorted into pools: the outcomes of all models on one benchmark under one condition."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args

Outcome = Literal["answer right", "all facts right"]


class Mark(NamedTuple):
    """What is kept of a prediction."""

    group: str
    stratum: str
    right: bool | None


Marks = Mapping[str, Mark]  # by item
Runs = Mapping[tuple[str, int], Marks]  # by arm and seed


class Pool(NamedTuple):
    """What may be compared with each other."""

    benchmark: str
    condition: str
    outcome: Outcome
    runs: Runs


def pools(predictions: Iterable[Mapping[str, Any]]) -> list[Pool]:
    """The predictions by what may be compared; items without known facts have no second outcome."""
    found: dict[tuple[str, str, Outcome], dict[tuple[str, int], dict[str, Mark]]] = defaultdict(dict)
    for row in predictions:
        known: dict[Outcome, bool | None] = {"answer right": row["correct"]}
        if row["facts"]:
            known["all facts right"] = row["perceived"]
        for outcome, right in known.items():
            marks = found[row["benchmark"], row["condition"], outcome].setdefault((row["model"], row["seed"]), {})
            if row["item"] in marks:
                raise ValueError(f"{_run(row)}: item {row['item']!r} comes a second time; each may come once")
            marks[row["item"]] = Mark(row["group"], row["stratum"], right)
    outcomes = get_args(Outcome)
    ordered = sorted(found, key=lambda key: (key[0], key[1], outcomes.index(key[2])))
    return [Pool(*key, found[key]) for key in ordered]


def _run(row: Mapping[str, Any]) -> str:
    return f"{row['model']}, seed {row['seed']} on {row['benchmark']} ({row['condition']})"
