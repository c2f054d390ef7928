"""A configuration's training, tried from end to end without a GPU: its own options on a tiny model of the architecture.

Every arm trains two steps on charts whose facts are known, with the embedded judge: rewards, KL, loss, adapters,
frozen parts, drawing again, held-out looks, checkpoints and ledger are the run's own. What needs the real thing is
said as it would be done: the commands, the memory, the time.
"""

import dataclasses
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from perception_r1.child import run_child
from perception_r1.records import Annotation, Problem
from perception_r1.sections import Arm, Config, Endpoint, Train
from perception_r1.train import ledger
from perception_r1.train.estimate import estimate, size_of
from perception_r1.train.launch import command, gpus_of
from perception_r1.train.server import SCALE_OUT
from perception_r1.train.server import command as server_command
from perception_r1.train.spec import RunSpec

STEPS, PROMPTS, LONGEST = 2, 2, 48
PROBLEMS = 36
HERE = Path("RUN.json")


def checked(config: Config, told: Callable[[str], None]) -> None:
    """Tries every arm and tells what came of it; raises the first failure with its cause."""
    for line in facts(config.train):
        told(line)
    folder = Path(tempfile.mkdtemp(prefix="dry-run-"))  # stays where something fails: the log is there
    base = _tiny_base(folder)
    for arm in config.train.arms:
        spec = tiny(config, arm, folder / arm.name, base)
        run_child("perception_r1.train", spec.as_json(), spec.folder, forked=True)
        rows = sum(table.num_rows for table in ledger.read(spec.rollouts))
        rewards = ", ".join(name for name, weight in arm.weights.items() if weight)
        told(f"arm {arm.name}: {STEPS} steps of a tiny model, {rows} completions, rewarded for {rewards}")
    shutil.rmtree(folder)


def facts(train: Train) -> Iterator[str]:
    """What the real run would be: its command, its server, its packages, its memory and time."""
    spec = _spec_of(train)
    if train.model == "world":
        yield "the model is the tiny one: the run itself needs no GPU"
        return
    yield f"launch: {shlex.join(['python', *command(spec, HERE, {})[1:]])}"
    if train.generate_with == "vllm_server" and not train.policy_server.base_url:
        yield f"policy server: {shlex.join(server_command(Path('base'), train, SCALE_OUT))}"
    yield f"GPUs of this machine: {gpus_of(train)}"
    yield from (f"needs {name}, which is not installed here" for name in lacking(train))
    size = size_of(train.model)
    if not size:
        yield f"memory and time of {train.model} are not known here; docs/training.md says how they are reckoned"
        return
    found = estimate(train, size)
    yield (
        f"memory of a GPU, reckoned: {found.peak_gb:.0f} GB ({found.states_gb:.0f} weights, gradients and optimiser, "
        f"{found.activations_gb:.0f} activations, {found.generation_gb:.0f} vLLM while it generates)"
    )
    yield f"time on A100s, reckoned: {found.step_s:.0f} s a step, {found.step_s * train.steps / 3600:.1f} h a run"


def lacking(train: Train) -> list[str]:
    """The packages that the settings need and that are not here."""
    wanted = {
        "peft": bool(train.lora.rank),
        "bitsandbytes": train.lora.quantize != "none",
        "deepspeed": train.launch == "zero3",
        "vllm": train.generate_with != "transformers",
    }
    return [name for name, is_needed in wanted.items() if is_needed and not _is_installed(name)]


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def tiny(config: Config, arm: Arm, folder: Path, base: Path) -> RunSpec:
    """The arm with everything that costs made small, and everything else as it is."""
    import pyarrow.parquet as pq

    from perception_r1.table import table_of
    from perception_r1.world.charts import problems, tasks

    folder.mkdir(parents=True)
    asked = list(problems("train", PROBLEMS, 0))
    known = [
        Annotation(f"{problem.id}#{number}", problem.id, fact, "length", 1, 1, "", "world")
        for problem, task in zip(asked, tasks("train", PROBLEMS, 0), strict=True)
        for number, fact in enumerate(task.facts)
    ]
    pq.write_table(table_of(asked, Problem), folder / "problems.parquet")
    pq.write_table(table_of(known, Annotation), folder / "annotations.parquet")
    return RunSpec(
        folder=folder / "run",
        base=base,
        problems=folder / "problems.parquet",
        annotations=folder / "annotations.parquet",
        weights=arm.weights,
        answer_types=(),  # the charts' own
        seed=config.train.seeds[0],
        train=small(config.train),
        judge=Endpoint(model="embedded/judge"),
        judging=config.validate.judging,
        gate=bool(arm.gate),
        kl=arm.kl,
    )


def small(train: Train) -> Train:
    """The settings at the size of the tiny model; 4-bit weights need a GPU and are left out."""
    watch = dataclasses.replace(train.watch, every=min(train.watch.every, 1), problems=min(train.watch.problems, 4))
    return dataclasses.replace(
        train,
        model="world",
        processes=1,
        machines=1,
        launch="ddp",
        steps=STEPS * train.iterations,
        save_every=train.iterations,
        prompts_per_step=PROMPTS,
        generations=min(train.generations, 4),
        micro_batch=0,
        max_completion_tokens=LONGEST,
        max_prompt_tokens=0,
        min_pixels=0,
        max_pixels=0,
        bf16=False,
        generate_with="transformers",
        instruction="none",  # the layout's words are longer than the tiny model's memory
        lora=dataclasses.replace(train.lora, quantize="none"),
        watch=watch,
    )


def _tiny_base(folder: Path) -> Path:
    run_child(
        "perception_r1.world", {"folder": str(folder / "base"), "seed": 0, "steps": 1}, folder / "base", forked=True
    )
    return folder / "base" / "model"


def _spec_of(train: Train) -> RunSpec:
    """Enough of a run to say how it would be launched."""
    here = Path()
    return RunSpec(
        folder=here,
        base=here,
        problems=here,
        annotations=here,
        weights={},
        answer_types=(),
        seed=0,
        train=train,
        judge=None,
    )
