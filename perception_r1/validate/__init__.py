"""Is the judge good enough to train with? Responses with known labels, the judge's verdicts on them, and the gates.

    gold = gold_set(problems, annotations, trajectories, count=100, seed=0)
    test = [row for row in gold if row.split == "test"]
    told = judged(test, judge)
    again = repeats(test, told, judge, responses=200)
    check(gates(judge_metrics(test, told), config.validate, again), config.validate.accept)     # raises GateFailed

No people are needed: the responses are written or edited so that every label is known by construction. People's
labels come in beside them (`human.py`), judges and wordings are compared on the dev split (`choose.py`), and
`drift.py` asks the same again later.
"""

from perception_r1.validate.choose import RULE, Contender, contenders
from perception_r1.validate.drift import Drift, anchors, drift
from perception_r1.validate.gates import Gate, check, gates
from perception_r1.validate.gold import GoldVerdict, JudgedVerdict, gold_set, judged, misjudged, with_verdicts
from perception_r1.validate.human import HumanLabel, RaterPair, agreement, majority, read_labels
from perception_r1.validate.metrics import ArmMetrics, JudgeMetrics, SliceMetrics, judge_metrics
from perception_r1.validate.repeats import Repeat, repeats

__all__ = [
    "RULE", "ArmMetrics", "Contender", "Drift", "Gate", "GoldVerdict", "HumanLabel", "JudgeMetrics", "JudgedVerdict",
    "RaterPair", "Repeat", "SliceMetrics", "agreement", "anchors", "check", "contenders", "drift", "gates", "gold_set",
    "judge_metrics", "judged", "majority", "misjudged", "read_labels", "repeats", "with_verdicts",
]  # fmt: skip
