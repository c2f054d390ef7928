"""Training with TRL's own trainer on the tiny model: what is not known is neutral, and a killed run loses nothing."""

import shutil
import statistics
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from perception_r1.errors import TrainingFailed
from perception_r1.train import ledger
from perception_r1.train.spec import RunSpec
from tests.training import planted, ran


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """Three steps, of the four of an epoch, of the perception recipe."""
    return planted(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def done(spec: RunSpec) -> RunSpec:
    """The same, trained."""
    code, said = ran(spec)
    assert code == 0, said[-2000:]
    return spec


def rollouts(folder: Path) -> list[Any]:
    return [table.to_pylist() for table in ledger.read(folder)]


def digest(model: Path) -> str:
    return sha256((model / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.timeout(400)
def test_a_run_that_was_killed_ends_with_the_same_weights_and_rollouts(done: RunSpec) -> None:
    spec = done
    other = spec.folder.parent / "resumed"
    (other / "checkpoints").mkdir(parents=True)
    # as a kill during step 3 leaves it: the checkpoint of step 2 whole, another half written
    shutil.copytree(spec.checkpoints / "checkpoint-2", other / "checkpoints" / "checkpoint-2")
    shutil.copytree(spec.checkpoints / "checkpoint-2", other / "checkpoints" / "checkpoint-3")
    (other / "checkpoints" / "checkpoint-3" / "whole").unlink()
    shutil.copytree(spec.rollouts, other / "rollouts", ignore=shutil.ignore_patterns("00000002-*"))
    code, said = ran(spec, folder=str(other))
    assert code == 0, said[-2000:]
    assert digest(other / "model") == digest(spec.model)
    assert digest(spec.model) != digest(spec.base)
    assert rollouts(other / "rollouts") == rollouts(spec.rollouts)


def test_a_run_that_was_killed_after_its_last_step_trains_no_further(done: RunSpec) -> None:
    other = done.folder.parent / "ended"
    last = f"checkpoint-{done.train.steps}"
    shutil.copytree(done.checkpoints / last, other / "checkpoints" / last)
    shutil.copytree(done.rollouts, other / "rollouts")
    code, said = ran(done, folder=str(other))
    assert code == 0, said[-2000:]
    assert digest(other / "model") == digest(done.model)
    assert rollouts(other / "rollouts") == rollouts(done.rollouts)


def test_an_advantage_is_that_of_its_own_completion_in_its_own_group(done: RunSpec) -> None:
    size, decided = done.train.generations, 0
    for step in rollouts(done.rollouts):
        assert [(row["group"], row["sample"]) for row in step] == [divmod(n, size) for n in range(len(step))]
        for start in range(0, len(step), size):
            group = step[start : start + size]
            rewards = [sum(weight * row[term] for term, weight in done.weights.items()) for row in group]
            spread = statistics.stdev(rewards)
            decided += spread > 0
            expected = [(reward - statistics.mean(rewards)) / (spread + 1e-4) for reward in rewards]
            assert [row["advantage"] for row in group] == pytest.approx(expected, abs=1e-3)
    assert decided


def test_all_processes_together_ask_the_judge_as_many_at_once_as_it_allows(spec: RunSpec) -> None:
    from perception_r1.train.__main__ import judge_endpoint

    judge = replace(spec.judge, base_url="http://localhost:1/v1", concurrency=20)  # type: ignore[type-var]
    asked = [judge_endpoint(replace(spec, judge=judge, train=replace(spec.train, processes=n))) for n in (1, 8, 64)]
    assert [endpoint.concurrency for endpoint in asked if endpoint] == [20, 2, 1]


def test_another_number_of_processes_than_configured_is_refused(done: RunSpec) -> None:
    other = str(done.folder.parent / "alone")
    code, said = ran(done, folder=other, train=done.as_json()["train"] | {"processes": 2})
    assert code == 1
    assert "train.processes is 2 and 1 came up" in said


def test_every_completion_is_in_the_ledger_with_its_rewards_and_verdicts(done: RunSpec) -> None:
    spec = done
    steps = list(ledger.read(spec.rollouts))
    train = spec.train
    assert [step.num_rows for step in steps] == [train.prompts_per_step * train.generations] * train.steps
    for row in (row for step in steps for row in step.to_pylist()):
        assert None not in (row["accuracy"], row["format"], row["repetition"], row["advantage"])
        counted = row["supported"] + row["contradicted"] + row["absent"] + row["unknown"]
        assert counted == len(row["judgements"]) > 0
    for step in steps:
        for group in {row["group"] for row in step.to_pylist()}:
            assert len({row["problem"] for row in step.to_pylist() if row["group"] == group}) == 1


def test_too_few_problems_are_one_line(spec: RunSpec) -> None:
    from perception_r1.train.data import dataset

    with pytest.raises(TrainingFailed, match="0 annotated problems of the types float are too few for a step of 4"):
        dataset(replace(spec, answer_types=("float",)))
