"""Verdicts for responses to items whose facts are annotations: a judge reads what each response says of its picture.

The annotations of a benchmark are a file of {"item", "facts": [{"text", "type"}]} lines. The world needs none:
its facts are known and read by rule. The judge that trains a model should not be the one that finds it to see better.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from perception_r1.errors import ConfigError
from perception_r1.evaluate.predict import seen
from perception_r1.judges import Case, Judge
from perception_r1.records import FactType, FactVerdict, Judgement, Prediction

Fact = tuple[str, FactType]


@dataclass(frozen=True, slots=True)
class Perceiver:
    """A judge, and the annotations of each item."""

    judge: Judge
    facts: Mapping[str, tuple[Fact, ...]]

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


def annotated(path: str) -> dict[str, tuple[Fact, ...]]:
    """The annotations of a file, by item; none where there is no file."""
    if not path:
        return {}
    try:
        rows = [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]
        return {str(row["item"]): tuple(_fact(fact) for fact in row["facts"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} holds no annotations: {error}; a line is "
            '{"item": "…", "facts": [{"text": "…", "type": "length"}]}'
        ) from None


def _fact(told: Mapping[str, str]) -> Fact:
    kind = told.get("type", "other")
    if kind not in get_args(FactType):
        raise ValueError(f"the type {kind!r} is unknown; known: {', '.join(get_args(FactType))}")
    return str(told["text"]), kind  # type: ignore[return-value]
