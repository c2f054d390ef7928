"""Did it see what the annotations say? The supported share of them, less the contradicted share."""

from perception_r1.records import Completion


def perception_reward(completion: Completion) -> float | None:
    """From -1 to 1; None where a verdict is not known, or nothing is known of the picture: never a score."""
    verdicts = [judgement.verdict for judgement in completion.judgements]
    if not verdicts or "unknown" in verdicts:
        return None
    return (verdicts.count("supported") - verdicts.count("contradicted")) / len(verdicts)
