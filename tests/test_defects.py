"""The defects of the paper's reward code that no other test holds by its own input: the table of facts, row by row.

P are of its parser, T of its transport, S of what it means. test_judges.py holds the same rows in our wire format.
"""

import asyncio
from collections import Counter

import pytest
from saying import Saying
from test_judges import FACTS, thought
from test_matcher import SUPPORTED
from test_trial import GOLD, LIMITS

from perception_r1 import sections
from perception_r1.annotate.extract import Found
from perception_r1.annotate.hygiene import clean
from perception_r1.endpoints import open_endpoint
from perception_r1.judges import Case, Judge, evidence_span, parse_reply, score
from perception_r1.records import Problem, Trajectory
from perception_r1.validate.trial import Entrant, same_family, trial
from perception_r1.world.judge import reply as embedded
from perception_r1.world.server import Fault, serving

IDS = ("info1", "info2", "info3", "info4", "info5", "info6")

PAPER = [  # what its judge printed, as it printed it; the reward that came of it
    pytest.param("<info1>1</info1>", id="P1-cut-after-one-of-six-paid-0.999999"),
    pytest.param("<info1>1</info1>\n<info3>0</info3>\n<info4>0</info4>", id="P2-gap-paid-0.999999"),
    pytest.param("<info2>1</info2>\n<info3>1</info3>", id="P3-first-missing-paid-0"),
    pytest.param("".join(f"<info{n}>{int(n < 4)}</info{n}>" for n in range(1, 7)), id="P4-three-extra-paid-0.5"),
    pytest.param("".join(f"<info{n}>{int(n > 2)}</info{n}>" for n in range(1, 7)), id="P5-invented-paid-0.67"),
    pytest.param("<info1>nan</info1><info2>inf</info2><info3>97</info3><info4>1e3</info4>", id="P6-each-paid-1"),
    pytest.param("<info1>Yes</info1><info2>**1**</info2><info3>1 (clearly stated)</info3>", id="P7-each-paid-0"),
    pytest.param("<INFO1>1</INFO1>", id="P7-capitals-paid-0"),
    pytest.param("<info1>0</info1> Judgement: <info1>1</info1>", id="P8-the-policys-tag-paid-1"),
    pytest.param("<info1>0.5</info1>", id="P9-half-paid-0.5"),
    pytest.param("", id="P10-empty-paid-0"),
    pytest.param("I cannot judge this.", id="P10-refusal-paid-0"),
]


@pytest.mark.parametrize("reply", PAPER)
def test_what_the_papers_parser_paid_for_is_unknown_here(reply: str) -> None:
    assert parse_reply(reply, IDS) == dict.fromkeys(IDS, "unknown")


def served(url: str, retries: int = 0) -> Judge:
    settings = sections.Endpoint(model="embedded/judge", base_url=url, retries=retries, concurrency=16)
    return Judge(open_endpoint(settings), matcher=False)


def rollouts(step: int, count: int = 64) -> list[Case]:
    return [Case(thought(f"Step {step}, rollout {n}. We find bar A at 7."), FACTS) for n in range(count)]


def test_T1_a_server_that_fails_once_costs_one_rollout_its_verdicts_and_not_the_step() -> None:  # noqa: N802
    with serving(faults=[None, Fault(status=500), None]) as server:
        judge = served(server.url)
        told = judge.judge(rollouts(0, 3))
        judge.close()
    assert sorted(score(each, "recall") is None for each in told) == [False, False, True]
    assert {said.decided_by.partition(":")[0] for each in told for said in each} == {"judge", "ServerFailed"}


NO_CHOICES = '{"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": []}'
NULL = '{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": null}}]}'


@pytest.mark.parametrize("body", [NO_CHOICES, NULL], ids=["T2-no-choices", "T3-null-content"])
def test_a_reply_without_text_is_unknown_and_neither_a_crash_nor_zero(body: str) -> None:
    with serving(faults=[Fault(body=body)] * 2) as server:
        judge = served(server.url)
        (told,) = judge.judge(rollouts(0, 1))
        judge.close()
    assert {(said.verdict, said.decided_by.partition(":")[0]) for said in told} == {("unknown", "Malformed")}


def test_T4_every_step_sends_as_many_requests_as_it_has_rollouts_whatever_loop_runs() -> None:  # noqa: N802
    async def step(number: int) -> int:
        before = server.requests
        told = judge.judge(rollouts(number))
        assert {said.verdict for each in told for said in each} == {"supported", "absent"}
        return server.requests - before

    with serving() as server:
        judge = served(server.url)
        assert [asyncio.run(step(number)) for number in range(4)] == [64] * 4
        judge.close()


def test_T5_a_partial_outage_is_counted_with_its_reasons() -> None:  # noqa: N802
    with serving(faults=[Fault(status=503) if n % 4 == 0 else None for n in range(64)]) as server:
        judge = served(server.url)
        told = judge.judge(rollouts(0))
        counts = judge.tally.counts()
        judge.close()
    unknown = Counter(said.decided_by.partition(":")[0] for each in told for said in each if said.verdict == "unknown")
    assert unknown == {"ServerFailed": 16 * len(FACTS)}
    assert dict(counts.requests.failures) == {"ServerFailed": 16}
    assert counts.requests.replies == 48


def test_T6_the_same_response_is_judged_once_in_a_step_and_again_for_nothing() -> None:  # noqa: N802
    endpoint = Saying(embedded)
    judge = Judge(endpoint, matcher=False)
    judge.judge(rollouts(0, 8) * 8)
    assert len(endpoint.asked) == 8
    assert judge.tally.counts().shared == 56 * len(FACTS)


@pytest.mark.parametrize(
    ("question", "fact", "dropped"),
    [
        pytest.param("Find x if the radius is 26.", "The radius is 26.", "stated in the question", id="S3-stated"),
        pytest.param("Find x.", "Therefore x is 24.", "deduction", id="S4-deduced"),
        pytest.param("Find x.", "AB is 24.", "", id="seen"),
    ],
)
def test_what_the_question_says_and_what_is_deduced_is_nothing_to_be_paid_for(
    question: str, fact: str, dropped: str
) -> None:
    problem = Problem("p", (b"",), f"<image>{question}", "24", "integer", "t", "p", "train")
    told = [Trajectory(f"t{n}", "p", n, f"I look. {fact}", "24", True, "", 5, 0.0) for n in range(2)]
    found = [Found("p", trajectory.id, fact, "length") for trajectory in told]
    (made,) = clean([problem], told, found, sections.Annotate(), "test")
    assert made.dropped == dropped


@pytest.mark.parametrize(
    ("judge", "policy", "family"),
    [
        ("Qwen/Qwen2.5-32B-Instruct-AWQ", "Qwen/Qwen2.5-VL-7B-Instruct", "qwen"),
        ("gemini-2.5-pro", "Qwen/Qwen2.5-VL-7B-Instruct", ""),
        ("embedded/judge", "world", ""),
        ("", "", ""),
    ],
)
def test_S8_a_judge_of_the_policys_own_family_is_named(judge: str, policy: str, family: str) -> None:  # noqa: N802
    assert same_family(judge, policy) == family


def test_S8_the_report_says_so() -> None:  # noqa: N802
    entrants = [Entrant("judge", Judge(Saying(embedded)))]
    assert trial(GOLD, entrants, LIMITS, policy="org/saying-7b")[1]["family"] == "saying"
    assert "family" not in trial(GOLD, entrants, LIMITS, policy="world")[1]


def test_the_matchers_evidence_stands_in_the_response() -> None:
    plain = [(fact, text) for fact, text in SUPPORTED if text.isascii() and "\\" not in text]
    judge = Judge(Saying(embedded))
    for fact, text in plain:
        (said,) = judge.judge([Case(text, (("a", fact),))])[0]
        span = evidence_span(text, said.evidence)
        assert said.decided_by == "matcher"
        if not any(word in text.lower() for word in ("seven", "five")):
            assert span is not None, (text, said.evidence)


@pytest.mark.parametrize(
    ("evidence", "span"),
    [("bar A is 7", (4, 18)), ("BAR a IS 7", (4, 18)), ("bar B is 7", None), ("", None), ("...", None)],
)
def test_evidence_is_found_whatever_stands_between_its_words(evidence: str, span: tuple[int, int] | None) -> None:
    assert evidence_span("So, **bar A** is 7, and", evidence) in (span, (6, 18) if span else None)
