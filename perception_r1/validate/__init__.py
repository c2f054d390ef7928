"""Is the judge good enough to train with? Responses with known labels, the judge's verdicts on them, and the gates.

    gold = gold_set(problems, annotations, trajectories, count=100, seed=0)
    metrics = judge_metrics(gold, judged(gold, judge))
    check(gates(metrics, config.validate), config.validate.enforce)     # raises GateFailed

No people are needed: the responses are written or edited so that every label is known by construction.
"""

from perception_r1.validate.gates import Gate, check, gates
from perception_r1.validate.gold import GoldVerdict, gold_set, judged
from perception_r1.validate.metrics import JudgeMetrics, SliceMetrics, judge_metrics

__all__ = [
    "Gate", "GoldVerdict", "JudgeMetrics", "SliceMetrics", "check", "gates", "gold_set", "judge_metrics", "judged",
]  # fmt: skip
