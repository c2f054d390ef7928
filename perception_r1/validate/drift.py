"""Does the judge still say what it said? A frozen set of anchors, judged again without memory.

rows = anchors(gold, judgements)              # the same ones of the same gold set, whenever it is asked
found = drift(rows, judge, max_flips=0.01)    # in training every N steps, and by the deployment judge-drift
if found.alarm: ...
"""

from collections.abc import Sequence
from dataclasses import dataclass

from perception_r1.compare import mcnemar_midp
from perception_r1.judges import Judge
from perception_r1.records import Judgement
from perception_r1.validate.gold import GoldVerdict, judged
from perception_r1.validate.repeats import sample

ANCHORS = 50  # responses

Anchor = tuple[GoldVerdict, Judgement]


@dataclass(frozen=True, slots=True)
class Drift:
    """What changed since the anchors were judged first; `alarm` says so in words, and is empty where all is well."""

    n: int
    flips: float  # the share of verdicts that are others now
    unknown: float  # the share that is not given now
    credited_before: int
    credited_now: int
    right_before: int
    right_now: int
    midp: float  # McNemar's, of the change in credit
    alarm: str


def anchors(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement], responses: int = ANCHORS) -> list[Anchor]:
    """So many responses of the test split with the verdicts that the model gave: the matcher's cannot move."""
    asked = [
        (row, said)
        for row, said in zip(gold, judgements, strict=True)
        if row.split == "test" and said.decided_by == "judge"
    ]
    chosen = sample([row for row, _ in asked], responses)
    return [(row, said) for row, said in asked if row.response in chosen]


def drift(anchors: Sequence[Anchor], judge: Judge, max_flips: float) -> Drift:
    """What the judge says of the anchors now, beside what was said before."""
    rows = [row for row, _ in anchors]
    now = judged(rows, judge.fresh())
    pairs = [(before.verdict, after.verdict) for (_, before), after in zip(anchors, now, strict=True)]
    n = max(1, len(pairs))
    lost = sum(one == "supported" != two for one, two in pairs)
    won = sum(two == "supported" != one for one, two in pairs)
    flips = sum(one != two for one, two in pairs) / n
    return Drift(
        n=len(pairs),
        flips=flips,
        unknown=sum(two == "unknown" for _, two in pairs) / n,
        credited_before=sum(one == "supported" for one, _ in pairs),
        credited_now=sum(two == "supported" for _, two in pairs),
        right_before=sum(row.label == one for row, (one, _) in zip(rows, pairs, strict=True)),
        right_now=sum(row.label == two for row, (_, two) in zip(rows, pairs, strict=True)),
        midp=mcnemar_midp(lost, won).pvalue,
        alarm=_alarm(flips, len(pairs), max_flips, lost, won),
    )


def _alarm(flips: float, n: int, limit: float, lost: int, won: int) -> str:
    if flips <= limit:
        return ""
    return (
        f"the judge has moved: {flips:.1%} of {n} anchors have another verdict now, at most {limit:.1%} may "
        f"({won} credited that were not, {lost} no longer credited). Was the model behind the address changed? "
        "Validate it again before you train on it"
    )
