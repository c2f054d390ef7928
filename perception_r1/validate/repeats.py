"""Does a judge say the same when it is asked again: as before, in another order, reworded, one fact at a time?"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from perception_r1.compare import mcnemar_midp
from perception_r1.judges import RUBRICS, Judge
from perception_r1.records import Judgement
from perception_r1.validate.gold import GoldVerdict, judged


@dataclass(frozen=True, slots=True)
class Repeat:
    """What another way to ask changes, among the verdicts that the model gave: the matcher's cannot change."""

    name: str
    n: int
    flips: float  # the share of verdicts that became others
    difference: float  # in the share that is credited
    midp: float  # McNemar's, of that difference


def repeats(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement], judge: Judge, responses: int) -> list[Repeat]:
    """The judge's verdicts on so many of the responses, beside those that it gave."""
    told = {row.id: said for row, said in zip(gold, judgements, strict=True) if said.decided_by == "judge"}
    chosen = sample([row for row in gold if row.id in told], responses)
    rows = [row for row in gold if row.response in chosen]  # with what the matcher decides: the lists are the same
    first = [told.get(row.id) for row in rows]
    return [_repeat(name, first, judged(rows, other)) for name, other in _ways(judge.fresh())] if rows else []


def sample(gold: Sequence[GoldVerdict], responses: int) -> frozenset[str]:
    """So many of the responses, the same ones whatever their order: a digest decides."""
    texts = dict.fromkeys(row.response for row in gold)
    ordered = sorted(texts, key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest())
    return frozenset(ordered[:responses])


def _ways(judge: Judge) -> Iterator[tuple[str, Judge]]:
    yield "again", judge
    yield "reordered", replace(judge, order="reversed")
    for rubric in RUBRICS:
        if rubric != judge.prompt:
            yield f"reworded: {rubric}", replace(judge, prompt=rubric)
    yield "alone", replace(judge, facts=1)


def _repeat(name: str, first: Sequence[Judgement | None], again: Sequence[Judgement]) -> Repeat:
    pairs = [(one.verdict, two.verdict) for one, two in zip(first, again, strict=True) if one]
    lost = sum(one == "supported" != two for one, two in pairs)
    won = sum(two == "supported" != one for one, two in pairs)
    flips = sum(one != two for one, two in pairs)
    return Repeat(name, len(pairs), flips / len(pairs), (won - lost) / len(pairs), mcnemar_midp(lost, won).pvalue)
