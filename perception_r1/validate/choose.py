"""Several judges and wordings on the dev split: which one is tried on the test split, and trained with."""

from collections.abc import Sequence
from dataclasses import dataclass

from perception_r1.compare import adjust_pvalues, mcnemar_midp
from perception_r1.records import Judgement
from perception_r1.validate.gold import GoldVerdict

ALPHA = 0.05
RULE = (  # stated before anything is measured
    "The configured judge is kept unless others are right more often on the dev split and McNemar's mid-p of that, "
    "adjusted after Holm for all of them, is at most 0.05; of those the one that is right most often is chosen, the "
    "first of equals. The test split is judged once, by the chosen one."
)


@dataclass(frozen=True, slots=True)
class Contender:
    """A judge with its wording on the dev split, paired with the configured one."""

    judge: str
    prompt: str
    n: int
    right: int
    only_configured: int  # verdicts that only the configured judge has right
    only_this: int
    midp: float
    holm: float
    chosen: bool


def contenders(
    names: Sequence[tuple[str, str]], gold: Sequence[GoldVerdict], told: Sequence[Sequence[Judgement]]
) -> list[Contender]:
    """Every judge with its wording, the configured one first, by the rule."""
    right = [[row.label == said.verdict for row, said in zip(gold, each, strict=True)] for each in told]
    cells = [_discordant(right[0], each) for each in right]
    midps = [mcnemar_midp(b, c).pvalue for b, c in cells]
    holms = [1.0, *adjust_pvalues(midps[1:], "holm")] if len(midps) > 1 else [1.0]
    better = [n for n, (b, c) in enumerate(cells) if c > b and holms[n] <= ALPHA]
    chosen = max(better, key=lambda n: sum(right[n])) if better else 0
    return [
        Contender(*names[n], len(gold), sum(right[n]), *cells[n], midps[n], holms[n], n == chosen)
        for n in range(len(names))
    ]


def _discordant(one: Sequence[bool], two: Sequence[bool]) -> tuple[int, int]:
    """How often only the one is right, and only the other."""
    pairs = list(zip(one, two, strict=True))
    return pairs.count((True, False)), pairs.count((False, True))
