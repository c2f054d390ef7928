"""Verdicts for responses to items whose facts are annotations: a judge reads what each response says of its picture.

The annotations of a benchmark are a file of {"item", "facts": [{"text", "type"}]} lines, or annotations of the store
whose problems are the items. The world needs none: its facts are known and read by rule. The judge that trains a model
should not be the one that finds it to see better.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from perception_r1.benchmarks.item import Item
from perception_r1.errors import ConfigError
from perception_r1.evaluate.predict import seen
from perception_r1.judges import Case, Judge
from perception_r1.records import FactType, FactVerdict, Judgement, Prediction

Fact = tuple[str, FactType]
Facts = Mapping[str, tuple[Fact, ...]]  # by item
KIND = "annotations/"  # of the store


@dataclass(frozen=True, slots=True)
class Perceiver:
    """A judge, and the annotations of each item."""

    judge: Judge
    facts: Facts

    def verdicts(self, rows: Sequence[Prediction]) -> list[Prediction]:
        """The predictions with a verdict for each annotation; one that is not known leaves perception unknown."""
        asked = [n for n, row in enumerate(rows) if self.facts.get(row.item) and row.status != "judge_failed"]
        cases = [self._case(rows[n]) for n in asked]
        made = list(rows)
        for n, told in zip(asked, self.judge.judge(cases), strict=True):
            made[n] = _perceived(rows[n], self.facts[rows[n].item], told)
        return made

    def _case(self, row: Prediction) -> Case:
        facts = tuple((str(number), text) for number, (text, _) in enumerate(self.facts[row.item]))
        return Case(row.response, facts, row.status == "truncated")


def _perceived(row: Prediction, facts: Sequence[Fact], told: Sequence[Judgement]) -> Prediction:
    verdicts = tuple(
        FactVerdict(text, kind, judgement.verdict) for (text, kind), judgement in zip(facts, told, strict=True)
    )
    right, wrong = seen(verdicts)
    unknown = any(verdict.verdict == "unknown" for verdict in verdicts)
    return replace(
        row,
        facts=len(facts),
        facts_right=right,
        facts_wrong=wrong,
        perceived=None if unknown else right == len(facts) and not wrong,
        verdicts=verdicts,
    )


def stored(name: str) -> bool:
    """Whether the facts are annotations of the store: annotations/NAME, with @3 or :tag, and no file of that name."""
    return name.startswith(KIND) and not Path(name).is_file()


def check_known(facts: Facts, items: Iterable[Item]) -> None:
    """Raises ConfigError where there are facts and not one of them is of any item."""
    if not facts:
        return
    first = ""
    for item in items:
        first = first or item.problem.id
        if item.problem.id in facts:
            return
    raise ConfigError(
        f"no item has annotations: the first item is {first!r}, and the facts are of {next(iter(facts))!r} and "
        f"{len(facts) - 1:,} others; annotate the benchmark's own split, or leave evaluate.data.<benchmark>.facts out"
    )


def annotated(path: str) -> Facts:
    """The annotations of a file, by item; none where there is no file."""
    if not path:
        return {}
    if Path(path).suffix == ".parquet":
        return _kept(Path(path))
    try:
        rows = [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]
        found = {str(row["item"]): tuple(_fact(fact) for fact in row["facts"]) for row in rows}
        if len(found) < len(rows):
            raise ValueError("an item is there twice")
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} holds no annotations: {error}; a line is "
            '{"item": "…", "facts": [{"text": "…", "type": "length"}]}'
        ) from None


def _kept(path: Path) -> Facts:
    """The annotations of an artifact that no step of hygiene has dropped, by problem."""
    import pyarrow.parquet as pq

    found: dict[str, list[Fact]] = defaultdict(list)
    for row in pq.read_table(path, columns=["problem", "text", "type", "dropped"]).to_pylist():
        if not row["dropped"]:
            found[row["problem"]].append((row["text"], row["type"]))
    return {problem: tuple(facts) for problem, facts in found.items()}


def _fact(told: object) -> Fact:
    if not (isinstance(told, Mapping) and isinstance(told.get("text"), str) and told["text"].strip()):
        raise ValueError(f"{told!r} states nothing")
    kind = told.get("type", "other")
    if kind not in get_args(FactType):
        raise ValueError(f"the type {kind!r} is unknown; known: {', '.join(get_args(FactType))}")
    return told["text"], kind
