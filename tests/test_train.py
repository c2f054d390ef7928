"""Training with TRL's own trainer on the tiny model: what is not known is neutral, and a killed run loses nothing."""

import json
import os
import shutil
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
    """Four steps of the perception recipe from an untrained model."""
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
    config = load(EMBEDDED, "quick", ["train.max_completion_tokens=40", "train.save_every=2"])
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


def digest(model: Path) -> str:
    return sha256((model / "model.safetensors").read_bytes()).hexdigest()


def test_a_run_that_was_killed_ends_with_the_same_weights_and_rollouts(spec: RunSpec) -> None:
    done = run(spec)
    assert done.returncode == 0, done.stderr[-2000:]
    other = spec.folder.parent / "resumed"
    (other / "checkpoints").mkdir(parents=True)
    # as a kill during step 4 leaves it: the checkpoint of step 2 whole, another half written
    shutil.copytree(spec.checkpoints / "checkpoint-2", other / "checkpoints" / "checkpoint-2")
    shutil.copytree(spec.checkpoints / "checkpoint-2", other / "checkpoints" / "checkpoint-3")
    (other / "checkpoints" / "checkpoint-3" / "whole").unlink()
    shutil.copytree(spec.rollouts, other / "rollouts", ignore=shutil.ignore_patterns("00000003-*"))
    done = run(spec, folder=str(other))
    assert done.returncode == 0, done.stderr[-2000:]
    assert digest(other / "model") == digest(spec.model)
    assert digest(spec.model) != digest(spec.base)
    assert [t.to_pylist() for t in ledger.read(other / "rollouts")] == [
        t.to_pylist() for t in ledger.read(spec.rollouts)
    ]


def test_every_completion_is_in_the_ledger_with_its_rewards_and_verdicts(spec: RunSpec) -> None:
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
