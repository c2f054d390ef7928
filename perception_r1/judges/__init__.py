"""Verdicts on annotations: which visual facts a response states, which it contradicts, and which it does not mention.

    judge = Judge(open_endpoint(config.endpoints["judge"]))
    cases = [Case("<think>Bar A is 7.</think>\\n<answer>\\\\boxed{A}</answer>", (("a1", "Bar A is 7."),))]
    (judgements,) = judge.judge(cases)      # one Judgement an annotation, in their order
    score(judgements)                       # 1.0; None where a verdict is unknown

Only what is thought before the answer counts. The matcher decides what is certain, the endpoint's model the rest;
where that fails the verdict is unknown, and `decided_by` says why.
"""

from perception_r1.judges.llm import Case, Judge, score
from perception_r1.judges.matcher import Decision, match
from perception_r1.judges.parse import parse_reply
from perception_r1.judges.part import perception_part
from perception_r1.judges.prompt import prompt_digest

__all__ = ["Case", "Decision", "Judge", "match", "parse_reply", "perception_part", "prompt_digest", "score"]
