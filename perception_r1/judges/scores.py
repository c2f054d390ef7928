"""What verdicts are worth: the modes in which they become a reward."""

from collections.abc import Sequence
from typing import Literal

from perception_r1.records import Judgement

Rule = Literal["signed", "recall", "gate"]


def score(judgements: Sequence[Judgement], rule: Rule = "signed") -> float | None:
    """The perception reward; None where a verdict is unknown or there is none: what that is worth the caller says.

    recall: the supported share, which is the paper's rule; signed: less the contradicted share; gate: the supported
    share where nothing is contradicted, else 0.
    """
    verdicts = [judgement.verdict for judgement in judgements]
    if not verdicts or "unknown" in verdicts:
        return None
    wrong = verdicts.count("contradicted")
    if rule == "gate" and wrong:
        return 0.0
    return (verdicts.count("supported") - (wrong if rule == "signed" else 0)) / len(verdicts)
