"""Is the reward being gamed? Each pattern rings its alarm, and a healthy run rings none."""

import json
from pathlib import Path
from typing import Any

import pytest

import storage
import tasks.train
from perception_r1.config import load
from perception_r1.train import look
from perception_r1.train.alarms import alarms
from perception_r1.train.progress import duration, measures, shortly, told
from tasks.job import Job

FIRST = {
    "step": 0, "reward_perception": None, "reward_accuracy": None, "perception": 0.2, "accuracy": 0.5,
    "length": 40.0, "repetition": 0.0, "flips": None,
}  # fmt: skip
EARLY = FIRST | {"step": 20, "reward_perception": 0.2, "reward_accuracy": 0.5}
HEALTHY = EARLY | {"step": 100, "reward_perception": 0.6, "perception": 0.55, "reward_accuracy": 0.7, "accuracy": 0.65}


@pytest.mark.parametrize(
    ("last", "rings"),
    [
        pytest.param({}, (), id="healthy"),
        pytest.param(
            {"perception": 0.22},
            ("the perception reward rose by 0.40 since step 20, held-out perception by +0.02",),
            id="perception",
        ),
        pytest.param(
            {"accuracy": 0.5},
            ("the accuracy reward rose by 0.20 since step 20, held-out accuracy by +0.00",),
            id="accuracy",
        ),
        pytest.param(
            {"accuracy": 0.42, "reward_accuracy": 0.52}, ("held-out accuracy fell by 0.08",), id="accuracy-fell"
        ),
        pytest.param({"length": 80.0}, ("responses are 2.0 times as long as at step 0",), id="longer"),
        pytest.param({"length": 18.0}, ("responses are 0.5 times as long",), id="shorter"),
        pytest.param({"repetition": -0.3}, ("30% more of the responses is said twice",), id="repetition"),
        pytest.param({"flips": 0.05}, ("otherwise on 5.0% of the anchors' verdicts (limit 2.0%)",), id="judge-drifts"),
        pytest.param({"flips": 0.01}, (), id="judge-steady"),
        pytest.param({"reward_perception": None, "perception": None}, (), id="nothing-known-of-perception"),
    ],
)
def test_a_pattern_of_gaming_rings_its_alarm(last: dict[str, Any], rings: tuple[str, ...]) -> None:
    found = alarms([FIRST, EARLY, HEALTHY | last], max_flips=0.02)
    assert len(found) == len(rings)
    assert all(expected in said for expected, said in zip(rings, found, strict=True))


def test_the_first_look_rings_nothing() -> None:
    assert alarms([], 0.0) == alarms([FIRST | {"repetition": -1.0}], 0.0) == []


def test_alarms_are_told_in_the_terminal_and_on_the_task_s_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "looks").mkdir()
    for step, rung in ((20, []), (40, ["A rose", "B fell"]), (60, ["A rose"])):
        seen = dict.fromkeys((name for name, _ in look.SCHEMA), None) | {"step": step, "alarms": rung}
        (tmp_path / "looks" / f"{step:08}.json").write_text(json.dumps(seen))
    store = storage.open_store(tmp_path / "store")
    looks = store.put("looks", "x", look.table(tmp_path / "looks"))
    published: list[Any] = []
    monkeypatch.setattr(tasks.train, "publish_table", lambda *given: published.append(given[:3]))
    tasks.train.tell_alarms(Job(load(Path("configs/embedded.toml")), store, "perception-r1 run"), "x", looks)
    assert published == [("alarms x", ("step", "alarm"), [(40, "A rose"), (40, "B fell"), (60, "A rose")])]
    assert capsys.readouterr().err == "train x: 3 x ALARM, the last after step 60: A rose\n"


def test_a_step_s_line_says_what_it_earned_and_waited_for() -> None:
    logs = {
        "loss": 0.1, "step_time": 2.0, "completions/mean_length": 50.0, "completions/count": 64.0, "kl": 0.013,
        "rewards/accuracy": 0.5, "rewards/perception": float("nan"), "rewards/combined_reward/mean": 9.0,
        "judge/seconds": 1.5, "judge/waited": 0.1, "skipped": 0.0,
    }  # fmt: skip
    line = told(12, 120, measures(logs, 216.0, 0.05))
    assert line == (
        "step 12/120: accuracy 0.500; kl 0.013 x 0.05; 1600 tokens/s; judge 1.50 s, waited for 0.10 s (5.0% of the "
        "step); 2.00 s a step, 4 min left"
    )
    assert shortly(measures(logs, 216.0, 0.05)) == "accuracy 0.50, kl 0.013, 1600 tokens/s, judge 5%"
    assert shortly({"rewards": {"accuracy": 0.5}}, ["the judge drifts"]) == "ALARM: the judge drifts, accuracy 0.50"


@pytest.mark.parametrize(("seconds", "said"), [(5.2, "5 s"), (89.0, "89 s"), (600.0, "10 min"), (9000.0, "2.5 h")])
def test_a_duration_is_said_as_a_person_says_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said
