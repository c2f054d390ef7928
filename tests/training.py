"""A run to train with in tests: a few charts, their facts, and the tiny model after a short warm start."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from perception_r1.config import load
from perception_r1.nursery import Born, born
from perception_r1.records import Annotation, Problem
from perception_r1.table import table_of
from perception_r1.train.spec import RunSpec
from perception_r1.world.charts import problems, tasks
from storage.locks import flock

SAID = "said.txt"
SHARED = "PERCEPTION_R1_TESTS_SHARED"  # a folder of all processes of this test run
ROOT = Path(__file__).resolve().parent.parent
SMALL = ("train.max_completion_tokens=40", "train.save_every=2", "train.steps=3", "compare.contrasts=[]")


@cache
def warm_base() -> Path:
    """A model that has hardly been warmed up: untrained, every reward would be the same and nothing would be learnt.

    The processes of one test run share it: the first that asks makes it, the others wait.
    """
    from perception_r1.world.tiny_vlm import save
    from perception_r1.world.warm_start import warm_started

    folder = Path(os.environ[SHARED]) / "warm base"
    with flock(folder.with_suffix(".lock")):
        if not folder.exists():
            half = folder.with_suffix(".half")
            save(*warm_started(0, steps=40), half)
            half.rename(folder)
    return folder


def planted(folder: Path, *overrides: str, arm: int = 1, count: int = 24, facts: bool = True) -> RunSpec:
    """Three steps, of the four of an epoch, of an arm of the embedded configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = list(problems("train", count, 0))
    known = [
        Annotation(f"{problem.id}#{number}", problem.id, fact, "length", 1, 1, "", "test")
        for problem, task in zip(asked, tasks("train", count, 0), strict=True)
        for number, fact in enumerate(task.facts if facts else ())
    ]
    pq.write_table(table_of(asked, Problem), folder / "problems.parquet")
    pq.write_table(table_of(known, Annotation), folder / "annotations.parquet")
    config = load(ROOT / "configs" / "embedded.toml", "quick", [*SMALL, *overrides])
    chosen = config.train.arms[arm]
    (folder / "run").mkdir(exist_ok=True)
    return RunSpec(
        folder=folder / "run",
        base=warm_base(),
        problems=folder / "problems.parquet",
        annotations=folder / "annotations.parquet",
        weights=chosen.weights,
        answer_types=chosen.answer_types,
        seed=3,
        train=config.train,
        judge=config.endpoints["judge"],
        gate=bool(chosen.gate),
        kl=chosen.kl,
    )


def started(spec: RunSpec, module: str = "perception_r1.train", **changes: Any) -> Born:
    """The run in a process of its own."""
    folder = Path(changes.get("folder", spec.folder))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "RUN.json"
    path.write_text(json.dumps(spec.as_json() | {"folder": str(folder)} | changes))
    with (folder / SAID).open("w") as said:
        return born([module, str(path)], said.fileno(), {"OMP_NUM_THREADS": "1"}, ())


def ran(spec: RunSpec, module: str = "perception_r1.train", **changes: Any) -> tuple[int | None, str]:
    """The exit code of the run, and what it said."""
    code = started(spec, module, **changes).wait()
    return code, (Path(changes.get("folder", spec.folder)) / SAID).read_text()


def trainer_of(spec: RunSpec, judge: Any = None, kind: Any = None, model: Any = None, matcher: bool = True) -> Any:
    """The trainer of a run, in this process."""
    from perception_r1.endpoints import open_endpoint
    from perception_r1.judges import Judge
    from perception_r1.models import open_model, open_processor
    from perception_r1.train import data
    from perception_r1.train.trainer import PerceptionTrainer

    endpoint = judge or (open_endpoint(spec.judge) if spec.judge else None)
    processor = open_processor(spec.base)
    return (kind or PerceptionTrainer)(
        spec,
        Judge(endpoint, matcher=matcher) if endpoint else None,
        processor,
        model=model or open_model(spec.base),
        train_dataset=data.dataset(spec, processor),
    )


def weights(model: Any) -> dict[str, Any]:
    """A copy of a model's parameters."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
