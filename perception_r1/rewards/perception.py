"""Did it see what the annotations say? The supported share of them, less the contradicted share."""

from perception_r1.judges.scores import Rule, score
from perception_r1.records import Completion


def perception_reward(completion: Completion, rule: Rule = "signed") -> float | None:
    """From -1 to 1; None where a verdict is not known, or nothing is known of the picture: never a score."""
    return score(completion.judgements, rule)
