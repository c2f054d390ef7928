"""Verdicts on annotations: which visual facts a response states, which it contradicts, and which it does not mention.

    judge = Judge(open_endpoint(config.endpoints["judge"]))
    cases = [Case("<think>Bar A is 7.</think>\\n<answer>\\\\boxed{A}</answer>", (("a1", "Bar A is 7."),))]
    (judgements,) = judge.judge(cases)      # one Judgement an annotation, in their order
    score(judgements)                       # 1.0; None where a verdict is unknown
    judge.verdicts(response, annotations)   # {"a1": "supported"} for one response
    judge.tally.counts()                    # who decided how much, and what that took

Only what is thought before the answer counts. The matcher decides what is certain, the endpoint's model the rest;
where that fails the verdict is unknown, and `decided_by` says why.
"""

from perception_r1.judges.cache import VerdictCache
from perception_r1.judges.llm import Case, Judge, open_judge
from perception_r1.judges.matcher import Decision, match
from perception_r1.judges.pairwise import Pairing, Preference, prefer, worth
from perception_r1.judges.parse import parse_reply
from perception_r1.judges.part import evidence_span, perception_part
from perception_r1.judges.prompt import RUBRICS, prompt_digest
from perception_r1.judges.scores import Rule, score
from perception_r1.judges.tally import Counts, Tally

__all__ = [
    "RUBRICS", "Case", "Counts", "Decision", "Judge", "Pairing", "Preference", "Rule", "Tally", "VerdictCache",
    "evidence_span", "match", "open_judge", "parse_reply", "perception_part", "prefer", "prompt_digest", "score",
    "worth",
]  # fmt: skip
