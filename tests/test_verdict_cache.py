"""Verdicts are remembered across restarts and processes, per judge, and never where they are unknown."""

import multiprocessing
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from saying import Saying
from test_judges import FACTS, listed, thought, wire

from perception_r1.endpoints import Request, open_endpoint
from perception_r1.errors import PerceptionError, ServerFailed
from perception_r1.judges import Case, Judge, VerdictCache, open_judge, prompt_digest
from perception_r1.sections import Endpoint, Judging
from perception_r1.world.judge import reply as embedded

CASE = Case(thought("Bar A is 7. We find bar B at 4."), FACTS)


def remembering(path: Path, **said: Any) -> Judge:
    return Judge(Saying(embedded), cache=VerdictCache(path / "verdicts.db"), **said)


def requests(judge: Judge) -> list[Request]:
    assert isinstance(judge.endpoint, Saying)
    return judge.endpoint.asked


def test_a_second_judge_of_the_same_sort_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    first = remembering(tmp_path)
    told = first.judge([CASE])
    first.close()
    again = remembering(tmp_path)
    assert again.judge([CASE]) == told
    assert requests(again) == []
    counts = again.tally.counts()
    assert (counts.wanted, counts.cached, counts.matched, counts.asked) == (3, 3, 0, 0)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"prompt": "judge-brief"}, id="wording"),
        pytest.param({"max_tokens": 9}, id="token-limit"),
        pytest.param({"matcher": False}, id="matcher"),
        pytest.param({"max_characters": 99}, id="length-limit"),
        pytest.param({"facts": 2}, id="facts-in-a-request"),
    ],
)
def test_no_judge_answers_for_another(tmp_path: Path, other: dict[str, Any]) -> None:
    remembering(tmp_path).judge([CASE])
    judge = remembering(tmp_path, **other)
    judge.judge([CASE])
    assert requests(judge)


def test_another_model_is_another_judge() -> None:
    saying = Judge(Saying(embedded))
    served = Judge(open_endpoint(Endpoint(model="embedded/judge")))
    assert saying.digest == Judge(Saying(lambda _: "")).digest != served.digest


def test_what_is_unknown_is_asked_again_and_only_that(tmp_path: Path) -> None:
    def say(request: Request) -> str | ServerFailed:
        if len(listed(request)) == 1:
            return ServerFailed("500")
        return wire((listed(request)[0], "absent"))

    judge = Judge(Saying(say), cache=VerdictCache(tmp_path / "c"))
    case = Case(thought("Hm."), FACTS[:2])
    (told,) = judge.judge([case])
    assert sorted(j.verdict for j in told) == ["absent", "unknown"]
    again = replace(judge, endpoint=Saying(embedded))
    (told,) = again.judge([case])
    assert [j.verdict for j in told] == ["absent", "absent"]
    assert [len(listed(request)) for request in requests(again)] == [1]


def test_a_fresh_judge_remembers_nothing_so_that_drift_shows(tmp_path: Path) -> None:
    judge = remembering(tmp_path)
    judge.judge([CASE])
    fresh = judge.fresh()
    fresh.judge([CASE])
    assert len(requests(judge)) == 2
    assert fresh.tally.counts().cached == 0


def test_a_new_annotation_of_a_known_response_is_asked_for_alone(tmp_path: Path) -> None:
    judge = remembering(tmp_path)
    judge.judge([Case(CASE.response, FACTS[1:2])])
    (told,) = judge.judge([CASE])
    assert [j.verdict for j in told] == ["supported", "contradicted", "absent"]
    assert [len(listed(request)) for request in requests(judge)] == [1, 1]


def test_every_verdict_of_a_model_says_which_judge_and_what_it_took(tmp_path: Path) -> None:
    for judge in (remembering(tmp_path), remembering(tmp_path)):
        (told,) = judge.judge([CASE])
        assert told[0].asked is None, "the matcher's"
        asked = told[1].asked
        assert asked is not None
        assert (asked.judge, asked.model, asked.prompt) == (judge.digest, "saying", prompt_digest("judge"))
        assert (asked.prompt_tokens, asked.completion_tokens, asked.facts) == (1, 1, 2)
        judge.close()
    rows = sqlite3.connect(tmp_path / "verdicts.db").execute("SELECT judge, model, prompt, latency_s FROM verdicts")
    assert (asked.judge, "saying", asked.prompt, 0.0) in set(rows)


def _judge_some(path: Path, start: int) -> None:
    judge = remembering(path)
    judge.judge([Case(thought(f"We find bar A at {n}."), FACTS) for n in range(start, start + 300)])
    judge.close()


def test_several_processes_share_the_file(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_judge_some, args=(tmp_path, start)) for start in (0, 100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    judge = remembering(tmp_path)
    judge.judge([Case(thought(f"We find bar A at {n}."), FACTS) for n in range(500)])
    assert requests(judge) == []


def test_a_file_that_is_no_cache_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(
        PerceptionError, match=r"verdicts\.db cannot be opened: .*; delete it, nothing but time is lost"
    ):
        VerdictCache(path)


def test_a_cache_that_cannot_be_written_costs_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = remembering(tmp_path)
    assert judge.cache is not None
    sqlite3.connect(judge.cache.path).execute("DROP TABLE verdicts").connection.commit()
    judge.cache.keep(judge.digest, "x", {})
    found = judge.fresh().judge([CASE])
    judge.cache.keep(judge.digest, "x", {"Bar A is 7.": _found()})
    judge.cache.flush()
    assert "1 verdicts could not be kept" in capsys.readouterr().err
    assert found


def _found() -> Any:
    from perception_r1.judges.cache import Found

    return Found("supported", "judge")


def test_a_lone_surrogate_can_be_remembered(tmp_path: Path) -> None:
    case = Case(thought("We find bar A at 7 \ud800."), FACTS)
    first, second = remembering(tmp_path), remembering(tmp_path)
    assert first.judge([case]) == second.judge([case])


def test_a_configuration_opens_its_judge(tmp_path: Path) -> None:
    judging = Judging(prompt="judge-brief", matcher=False, max_characters=10, facts=3)
    judge = open_judge(Endpoint(model="embedded/judge", max_tokens=77), judging, tmp_path / "a/b/c.db")
    assert (judge.prompt, judge.matcher, judge.max_characters, judge.facts, judge.max_tokens) == (
        *("judge-brief", False, 10, 3),
        77,
    )
    assert judge.verdicts("<think>Bar A is 7.</think>", FACTS[:1]) == {"a1": "supported"}
    judge.close()
    assert (tmp_path / "a/b/c.db").exists()


def test_what_lies_beyond_the_limit_is_not_judged() -> None:
    judge = Judge(Saying(embedded), max_characters=20)
    assert judge.verdicts(thought("Bar A is 7. So it goes. Bar B is 5."), FACTS[:2]) == {
        "a1": "supported",
        "a2": "absent",
    }


def test_the_tally_counts_who_decided() -> None:
    judge = Judge(Saying(embedded))
    judge.judge([CASE, CASE, Case("", FACTS)])
    counts = judge.tally.counts()
    assert (counts.wanted, counts.settled, counts.shared, counts.matched, counts.asked) == (9, 3, 3, 1, 2)
    assert (counts.requests.requests, counts.requests.prompt_tokens, counts.unhealthy) == (1, 1, 0)


def test_replies_that_leave_something_out_are_unhealthy_and_asked_again() -> None:
    judge = Judge(Saying(lambda request: wire((listed(request)[0], "absent"))))
    judge.judge([Case(thought("Hm."), FACTS)])
    counts = judge.tally.counts()
    assert (counts.unhealthy, counts.asked_again, counts.unread, counts.asked) == (2, 1, 3, 3)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        pytest.param('{"Bar A', "cannot be read", id="half"),
        pytest.param('{"Bar A is 7.": "suppoRted"}', "holds a row that is no verdicts", id="another-letter"),
        pytest.param('{"Bar A is 7.": ["yes", ""]}', "holds a row that is no verdicts", id="no-verdict"),
        pytest.param('{"Bar A is 7.": 7}', "holds a row that is no verdicts", id="a-number"),
        pytest.param("[]", "holds a row that is no verdicts", id="a-list"),
    ],
)
def test_a_row_that_is_damaged_costs_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], facts: str, says: str
) -> None:
    first = remembering(tmp_path)
    told = first.judge([CASE])
    first.close()
    with sqlite3.connect(tmp_path / "verdicts.db") as file:
        file.execute("UPDATE verdicts SET facts = ?", (facts,))
    file.close()
    again = remembering(tmp_path)
    assert again.judge([CASE]) == told
    assert f"verdicts.db {says}" in capsys.readouterr().err
    again.close()
