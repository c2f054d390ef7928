"""Training with TRL's own trainer on the tiny model: what is not known is neutral, and a killed run loses nothing."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from perception_r1.config import load
from perception_r1.errors import TrainingFailed
from perception_r1.records import Annotation, Problem
from perception_r1.table import table_of
from perception_r1.train import ledger
from perception_r1.train.spec import RunSpec
from perception_r1.world.charts import problems, tasks
from perception_r1.world.tiny_vlm import save
from perception_r1.world.warm_start import warm_started

EMBEDDED = Path(__file__).resolve().parent.parent / "configs" / "embedded.toml"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """Three steps, of the four of an epoch, of the perception recipe from a model that has hardly been warmed up."""
    folder = tmp_path_factory.mktemp("train")
    asked = list(problems("train", 24, 0))
    facts = [
        Annotation(f"{problem.id}#{number}", problem.id, fact, "length", 1, 1, "", "test")
        for problem, task in zip(asked, tasks("train", 24, 0), strict=True)
        for number, fact in enumerate(task.facts)
    ]
    pq.write_table(table_of(asked, Problem), folder / "problems.parquet")
    pq.write_table(table_of(facts, Annotation), folder / "annotations.parquet")
    # untrained, every reward would be the same and nothing would be learnt
    model, processor = warm_started(0, steps=40)
    save(model, processor, folder / "base")
    config = load(EMBEDDED, "quick", ["train.max_completion_tokens=40", "train.save_every=2", "train.steps=3"])
    arm = config.train.arms[1]
    return RunSpec(
        folder=folder / "run",
        base=folder / "base",
        problems=folder / "problems.parquet",
        annotations=folder / "annotations.parquet",
        weights=arm.weights,
        answer_types=arm.answer_types,
        seed=3,
        train=config.train,
        judge=config.endpoints["judge"],
    )


def run(spec: RunSpec, **changes: Any) -> subprocess.CompletedProcess[str]:
    folder = Path(changes.get("folder", spec.folder))
    folder.mkdir(exist_ok=True)
    path = folder / "RUN.json"
    path.write_text(json.dumps(spec.as_json() | {"folder": str(folder)} | changes))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "perception_r1.train", path]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def done(spec: RunSpec) -> RunSpec:
    """The same, trained."""
    ended = run(spec)
    assert ended.returncode == 0, ended.stderr[-2000:]
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
    ended = run(spec, folder=str(other))
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert digest(other / "model") == digest(spec.model)
    assert digest(spec.model) != digest(spec.base)
    assert rollouts(other / "rollouts") == rollouts(spec.rollouts)


def test_a_run_that_was_killed_after_its_last_step_trains_no_further(done: RunSpec) -> None:
    other = done.folder.parent / "ended"
    last = f"checkpoint-{done.train.steps}"
    shutil.copytree(done.checkpoints / last, other / "checkpoints" / last)
    shutil.copytree(done.rollouts, other / "rollouts")
    ended = run(done, folder=str(other))
    assert ended.returncode == 0, ended.stderr[-2000:]
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
    ended = run(done, folder=other, train=done.as_json()["train"] | {"processes": 2})
    assert ended.returncode == 1
    assert "train.processes is 2 and 1 came up" in ended.stderr


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
