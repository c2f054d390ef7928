"""The short versions of bench/faults.py and of 100,000 fuzzed replies: no crash, no wrong verdict, all unknown counted.

PERCEPTION_R1_FUZZ=100000 python -m pytest tests/test_judge_faults.py -k fuzzed --timeout 0
"""

import json
import os
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_judges import FACTS, thought
from test_wire import listening

from bench.faults import storm
from perception_r1 import sections
from perception_r1.endpoints import Speaking, open_endpoint
from perception_r1.errors import Unreachable
from perception_r1.judges import Case, Judge, parse_reply

FUZZED = int(os.environ.get("PERCEPTION_R1_FUZZ", "300"))
IDS = ("k1", "k2", "k3")


def test_a_storm_brings_no_wrong_verdict_and_every_unknown_has_its_reason() -> None:
    found = storm(400)
    assert found.wrong == 0
    assert found.known + found.unknown.total() == 2 * found.cases
    assert found.unknown.keys() <= {
        *("Refused", "RateLimited", "Unreachable", "Truncated", "TimedOut", "ServerFailed", "Malformed"),
        "the judge's reply gives no verdict for it",
    }
    assert found.unknown["Refused"] > 0, "a 400 is not asked again"
    assert found.known > found.cases


def test_a_clock_that_jumps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, chance = time.time, random.Random(0)
    monkeypatch.setattr(time, "time", lambda: real() + chance.uniform(-1e6, 1e6))
    found = storm(150, restart=False)
    assert found.wrong == 0
    assert found.known + found.unknown.total() == 2 * found.cases
    assert found.known > found.cases


@pytest.mark.timeout(20)  # twice what it may take
def test_a_judge_that_is_dead_at_the_start_ends_the_judging_with_its_address_and_what_to_check() -> None:
    with listening(backlog=100) as nowhere:
        settings = sections.Endpoint(model="judge-32b", base_url=nowhere, timeout_s=600)
        judge = Judge(Speaking(open_endpoint(settings)), matcher=False)
        with pytest.raises(Unreachable) as raised:
            judge.judge([Case(thought(f"Look {n}."), FACTS) for n in range(200)])
        judge.close()
    assert f"judge-32b at {nowhere}" in str(raised.value)
    assert "Is the server running and loaded, and is base_url right?" in str(raised.value)


ENTRY = st.fixed_dictionaries(
    {
        "id": st.sampled_from([*IDS, "k4", "K1", "k1 ", 1, None]),
        "verdict": st.sampled_from(
            ["supported", "contradicted", "absent", "unknown", "Supported", "yes", 1, 0.5, None]
        ),
    },
    optional={"evidence": st.one_of(st.text(max_size=5), st.none())},
)
REPLY = st.lists(ENTRY, max_size=6).map(lambda entries: json.dumps({"verdicts": entries}))
PIECE = st.one_of(
    st.sampled_from(
        [
            *('"verdicts"', '{"id": "k1", "verdict": "supported"}', "[", "]", "{", "}", ",", '"', "\\", ":", "null"),
            *(
                "NaN",
                "```json",
                "</think>",
                "supported",
                '"k1"',
                '"verdict": "absent"',
                "\n",
                "\ufeff",
                "//",
                "<info1>1",
            ),
        ]
    ),
    st.text(max_size=3),
)
EDIT = st.tuples(st.floats(0, 1), st.floats(0, 1), PIECE)


def edited(reply: str, edits: list[tuple[float, float, str]]) -> str:
    """The reply with pieces put in place of parts of it."""
    for start, length, piece in edits:
        place = int(start * len(reply))
        reply = reply[:place] + piece + reply[place + int(length**4 * (len(reply) - place)) :]
    return reply


def stated(reply: str, id: str) -> set[object]:
    """What stands for an id in any JSON object that begins anywhere in the reply."""
    found = set()
    for place in (brace.start() for brace in re.finditer(r"\{", reply)):
        try:
            said, _ = json.JSONDecoder().raw_decode(reply, place)
        except ValueError:
            continue
        if said.get("id") == id and isinstance(said.get("verdict"), str):
            found.add(said["verdict"])
    return found


@settings(max_examples=FUZZED, deadline=None)
@given(reply=REPLY, edits=st.lists(EDIT, max_size=3))
def test_a_fuzzed_reply_gives_no_verdict_that_it_did_not_state_for_that_id(
    reply: str, edits: list[tuple[float, float, str]]
) -> None:
    fuzzed = edited(reply, edits)
    parsed = parse_reply(fuzzed, IDS)
    assert tuple(parsed) == IDS
    for id, verdict in parsed.items():
        assert verdict == "unknown" or verdict in stated(fuzzed, id), fuzzed


@settings(max_examples=FUZZED // 3, deadline=None)
@given(reply=REPLY, cut=st.floats(0, 1))
def test_a_reply_that_is_fuzzed_by_being_cut_states_nothing(reply: str, cut: float) -> None:
    shorter = reply[: int(cut * len(reply))]
    if shorter != reply:
        assert set(parse_reply(shorter, IDS).values()) == {"unknown"}
