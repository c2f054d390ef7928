"""A run that is killed at any moment ends as one that was not: weights, ledger, controllers, bit for bit."""

import json
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from perception_r1.errors import TrainingFailed
from perception_r1.models import open_model
from perception_r1.recipes.kl import kl_at
from perception_r1.sections import Kl
from perception_r1.train import base, checkpoints, ledger
from perception_r1.train.look import ANCHORS
from perception_r1.train.spec import RunSpec
from tests.training import planted, ran, started, warm_base, weights

pytestmark = pytest.mark.timeout(600)  # the first test of a process warms a model up

STEPS = 8


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """A run with a KL weight that moves, to its end and never killed; looks at held-out problems every two steps."""
    overrides = (f"train.steps={STEPS}", "train.save_every=1", "train.watch.every=2", "train.watch.problems=5")
    spec = replace(planted(tmp_path_factory.mktemp("whole"), *overrides), kl=Kl(schedule="grpo_d", low=0.02, high=0.4))
    code, said = ran(spec)
    assert code == 0, said[-3000:]
    return spec


def digest(folder: Path) -> str:
    return sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def rows(spec: RunSpec) -> list[Any]:
    return [row for table in ledger.read(spec.rollouts) for row in table.to_pylist()]


@pytest.mark.slow
def test_a_run_that_is_killed_at_three_random_moments_is_the_run_that_was_not(done: RunSpec, tmp_path: Path) -> None:
    """Killed outright three times: each time somewhere within a step, or a checkpoint, or a look."""
    killed, chance = replace(done, folder=tmp_path / "killed"), random.Random(time.time_ns())
    killed.looks.mkdir(parents=True)
    shutil.copy(done.looks / ANCHORS, killed.looks)  # and once before: after a look had chosen its anchors
    for kill in range(3):
        child = started(killed)
        behind = len(list(killed.rollouts.glob("*.parquet")))
        while child.poll() is None and len(list(killed.rollouts.glob("*.parquet"))) < min(behind + 1, STEPS - 1):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.8))
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() in (-signal.SIGKILL, 0), f"kill {kill}"
    code, said = ran(killed)
    assert code == 0, said[-3000:]
    assert digest(killed.folder) == digest(done.folder)
    assert rows(killed) == rows(done)
    looks = [path.read_text() for path in sorted(done.looks.glob("0*.json"))]
    assert [path.read_text() for path in sorted(killed.looks.glob("0*.json"))] == looks


def test_the_ledger_has_every_completion_of_every_step_once(done: RunSpec) -> None:
    train, found = done.train, rows(done)
    places = [(row["step"], row["group"], row["sample"]) for row in found]
    size = train.generations
    assert places == [(s, g, n) for s in range(STEPS) for g in range(train.prompts_per_step) for n in range(size)]
    assert {row["sampling_seed"] for row in found} == {done.seed}
    assert all(row["kept"] and row["draw"] == 0 and row["reward"] is not None for row in found)


def test_the_reference_of_a_resumed_run_is_its_base_and_not_its_checkpoint(done: RunSpec) -> None:
    """TRL opens the reference under the policy's name, which is the checkpoint's after a resume."""
    checkpoint = checkpoints.last_whole(done.checkpoints)
    assert checkpoint
    stock = open_model(checkpoint)
    assert Path(stock.config._name_or_path) == checkpoint
    assert Path(base.opened_under(stock, base.base_folder(done)).config._name_or_path) == warm_base()


@pytest.mark.filterwarnings("ignore")
def test_the_stock_resume_leaves_the_weights_of_the_base(done: RunSpec, tmp_path: Path) -> None:
    """Why the checkpoint is opened first: transformers' own resume loads hardly a tensor of it."""
    from tests.training import trainer_of

    spec = replace(done, folder=tmp_path, kl=None, train=replace(done.train, watch=replace(done.train.watch, every=0)))
    checkpoint = checkpoints.last_whole(done.checkpoints)
    trainer = trainer_of(spec)
    before = weights(trainer.model)
    trainer._load_from_checkpoint(str(checkpoint))
    same = [name for name, value in weights(trainer.model).items() if bool((value == before[name]).all())]
    assert len(same) > len(before) // 2
    ours, trained = weights(open_model(checkpoint)), weights(open_model(done.model))  # type: ignore[arg-type]
    assert all(bool((ours[name] == trained[name]).all()) for name in trained)


def test_the_best_checkpoint_is_kept_and_is_the_best_by_what_was_held_out(done: RunSpec) -> None:
    looks = [json.loads(path.read_text()) for path in sorted(done.looks.glob("0*.json"))]
    assert [look["step"] for look in looks] == list(range(0, STEPS + 1, 2))
    state = json.loads((checkpoints.last_whole(done.checkpoints) / "trainer_state.json").read_text())  # type: ignore[operator]
    best = max(look["score"] for look in looks)
    if best > looks[0]["score"]:
        first = next(look["step"] for look in looks if look["score"] == best)
        assert Path(state["best_model_checkpoint"]).name == f"checkpoint-{first}"
        assert (done.best / "model.safetensors").exists()
        assert (done.checkpoints / f"checkpoint-{first}").exists()
    whole = [checkpoints.step_of(path) for path in done.checkpoints.glob("checkpoint-*")]
    assert {STEPS - 1, STEPS} <= set(whole)
    assert len(whole) <= done.train.keep + 1


def crowned(spec: RunSpec, step: int) -> None:
    """Makes a checkpoint the best one, whatever was seen of what was held out."""
    state = spec.checkpoints / f"checkpoint-{spec.train.steps}" / "trainer_state.json"
    told = json.loads(state.read_text()) | {"best_model_checkpoint": f"/elsewhere/checkpoint-{step}"}
    state.write_text(json.dumps(told))


def test_a_run_that_was_killed_after_its_last_step_leaves_the_best_model_too(done: RunSpec, tmp_path: Path) -> None:
    killed = replace(done, folder=tmp_path / "run")
    shutil.copytree(done.checkpoints, killed.checkpoints)
    crowned(killed, STEPS - 1)
    code, said = ran(killed)
    assert code == 0, said[-2000:]
    assert digest(killed.folder) == digest(done.folder)
    theirs, before = weights(open_model(killed.best)), f"checkpoint-{STEPS - 1}"
    kept = weights(open_model(done.checkpoints / before))
    assert all(bool((theirs[name] == kept[name]).all()) for name in kept)
    assert not {path.name for path in killed.best.iterdir()} & {"origin.json", "trainer_state.json", "whole"}


def test_of_adapters_last_and_best_are_whole_models_with_them_in_it(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    import torch

    options = ("train.lora.rank=4", "train.steps=2", "train.save_every=1", "train.learning_rate=0.01")
    spec = planted(tmp_path, *options, "train.watch.every=2", "train.watch.problems=3")
    code, said = ran(spec)
    assert code == 0, said[-2000:]
    crowned(spec, 1)
    shutil.rmtree(spec.best, ignore_errors=True)
    trained = digest(spec.folder)
    code, said = ran(spec)
    assert code == 0, said[-2000:]
    assert digest(spec.folder) == trained
    base, best, last = (weights(open_model(folder)) for folder in (spec.base, spec.best, spec.model))
    assert base.keys() == best.keys() == last.keys()
    moved = [name for name in base if not torch.equal(base[name], last[name])]
    assert moved
    assert all(name.endswith("proj.weight") or ".mlp." in name or ".attn." in name for name in moved)
    assert any(not torch.equal(best[name], last[name]) for name in moved)


def test_nothing_that_a_run_leaves_as_its_model_is_a_pickle(done: RunSpec) -> None:
    left = [path.suffix for folder in (done.model, done.best) for path in folder.rglob("*")]
    assert not {".bin", ".pt", ".pth", ".pkl"} & set(left)


@pytest.mark.parametrize(
    ("kl", "weights_at"),
    [
        pytest.param(
            Kl(schedule="grpo_d", low=0.04, high=0.1), {0: 0.07, 30: 0.04, 100: 0.1, 15: 0.055}, id="counting"
        ),
        pytest.param(
            Kl(schedule="grpo_d", low=0.0, high=0.02), {0: 0.01, 30: 1e-8, 65: 0.01, 100: 0.02}, id="geometry"
        ),
        pytest.param(Kl(schedule="linear", low=0.0, high=0.5), {0: 1e-8, 50: 0.25, 100: 0.5}, id="linear"),
    ],
)
def test_the_kl_weight_follows_the_papers_formula_and_is_never_nothing(kl: Kl, weights_at: dict[int, float]) -> None:
    assert {step: kl_at(step, 100, kl) for step in weights_at} == pytest.approx(weights_at)


def test_half_a_checkpoint_is_removed_and_the_one_before_it_is_the_last(done: RunSpec, tmp_path: Path) -> None:
    shutil.copytree(done.checkpoints, tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / f"checkpoint-{STEPS}" / checkpoints.WHOLE).unlink()
    last = checkpoints.last_whole(tmp_path / "checkpoints")
    assert last and last.name == f"checkpoint-{STEPS - 1}"
    assert not (tmp_path / "checkpoints" / f"checkpoint-{STEPS}").exists()


def test_a_checkpoint_of_another_model_is_refused(done: RunSpec, tmp_path: Path) -> None:
    from perception_r1.world.tiny_vlm import new_model, processor_class, save

    processor = processor_class().from_pretrained(warm_base())
    save(new_model(processor, 77), processor, tmp_path / "other")
    last = checkpoints.last_whole(done.checkpoints)
    assert last
    checkpoints.check(last, done)
    with pytest.raises(TrainingFailed, match="is of another run: its base is"):
        checkpoints.check(last, replace(done, base=tmp_path / "other"))
    with pytest.raises(TrainingFailed, match="its processes is 1, the run's 2"):
        checkpoints.check(last, replace(done, train=replace(done.train, processes=2)))


@pytest.mark.parametrize("name", [checkpoints.ORIGIN, checkpoints.STATE])
@pytest.mark.parametrize("said", ["", '{"base', "[]", "\x00"])
def test_a_damaged_checkpoint_is_named_with_the_remedy(done: RunSpec, tmp_path: Path, name: str, said: str) -> None:
    shutil.copytree(done.checkpoints, tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "checkpoint-2.bak").mkdir()  # somebody's own
    last = checkpoints.last_whole(tmp_path / "checkpoints")
    assert last and last.name == f"checkpoint-{STEPS}"
    (last / name).write_text(said)
    with pytest.raises(TrainingFailed, match=rf"{name} is damaged; remove the checkpoint to go on from the one before"):
        checkpoints.check(last, done)
    assert (tmp_path / "checkpoints" / "checkpoint-2.bak").exists()


def test_pickled_weights_are_refused(done: RunSpec, tmp_path: Path) -> None:
    last = checkpoints.last_whole(done.checkpoints)
    assert last
    shutil.copytree(last, tmp_path / "checkpoints" / last.name)
    (tmp_path / "checkpoints" / last.name / "pytorch_model.bin").write_bytes(b"\x80\x04")
    code, said = ran(done, folder=str(tmp_path))
    assert code == 1
    assert "pytorch_model.bin is a pickle, which may run any code" in said
    assert "is a pickle" in (tmp_path / "error.txt").read_text()


def test_a_base_of_pickled_weights_is_not_opened(tmp_path: Path) -> None:
    import torch

    from perception_r1.errors import ConfigError

    shutil.copytree(warm_base(), tmp_path / "base", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, tmp_path / "base" / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_model(tmp_path / "base")
