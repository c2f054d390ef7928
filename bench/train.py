"""What our training step costs beside plain TRL's, and how long a slow judge is waited for.

OMP_NUM_THREADS=1 python -m bench.train                 # about ten minutes; writes bench/results/train.md
OMP_NUM_THREADS=1 python -m bench.train --repeats 1     # a first look

Both sides train the same tiny model on the same charts with the same seeds and a learning rate so small that both say
the same all the way; plain TRL's reward is the length of nothing. They take turns step by step in one process, since a
step takes a tenth more or less in another. The first step, which warms up, does not count. CPU seconds count all
threads; what else runs on the machine is in the wall seconds only. The memory is the most that a process held at once,
of those that wait for a judge and of those that a quick run starts.
"""

import argparse
import asyncio
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.machine import described
from perception_r1.sections import Endpoint, Judging, Kl
from perception_r1.train.spec import RunSpec
from perception_r1.world.server import Fault, serving
from tests.training import SHARED

RESULTS = Path(__file__).parent / "results" / "train.md"
STEPS = 25
JUDGE_S = 0.3
STILL = 1e-12  # a learning rate that changes nothing: both sides go on saying the same
SIDES = ("plain TRL", "ours")
BOTH = "both"


def main() -> None:
    """Runs both sides in turns and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--child", nargs="+", metavar="SIDE RUN.json")
    options = parser.parse_args()
    if options.child:
        side, *runs = options.child
        specs = [RunSpec.read(Path(run)) for run in runs]
        print(json.dumps(together(*specs) if side == BOTH else measured(side, *specs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ[SHARED] = folder
        steps = [step_rows(Path(folder) / str(n), n) for n in range(options.repeats)]
        waits = [wait_rows(Path(folder) / f"judge{n}", reference) for n, reference in enumerate((False, True))]
        peaks = {f"a training child, {side}": max(row[side]["peak_mb"] for row in waits) for side in SIDES}
        peaks |= {f"`run --profile quick`: {name}": peak for name, peak in run_peaks(Path(folder) / "run").items()}
    text = written(steps, waits) + memory(peaks)
    RESULTS.write_text(text)
    print(text)


def step_rows(folder: Path, number: int) -> dict[str, dict[str, float]]:
    """Both sides' seconds a step, turn by turn; who is first changes from repeat to repeat."""
    order = SIDES if number % 2 else SIDES[::-1]
    return ran(BOTH, *(planted(folder / side.replace(" ", ""), 8) for side in order))


def wait_rows(folder: Path, reference: bool) -> dict[str, dict[str, float]]:
    """Both sides' waits for a judge that takes its time; with a reference model there is a pass to wait under."""
    found = {}
    for side in SIDES:
        with serving(faults=itertools.repeat(Fault(delay_s=JUDGE_S))) as server:
            spec = planted(folder / side.replace(" ", ""), 16)
            judge = Endpoint(model="embedded/judge", base_url=server.url, concurrency=256)
            # every response is asked about: no matcher, and no cache of what was said before
            spec = replace(spec, judge=judge, judging=Judging(matcher=False))
            if reference:
                spec = replace(spec, kl=Kl(schedule="linear", low=1e-6, high=1e-6))
            found[side] = ran(side, spec)
    return found


def run_peaks(folder: Path) -> dict[str, float]:
    """The most megabytes that each sort of process of a quick run held, as the kernel counts them."""
    words = ["-m", "flows", "--store", str(folder), "run", "--profile", "quick", "--no-prefect"]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    run = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    found: dict[str, float] = {}
    while run.poll() is None:
        for name, peak in _family(run.pid):
            found[name] = max(peak, found.get(name, 0.0))
        time.sleep(0.2)
    if run.returncode:
        raise SystemExit(run.communicate()[0].decode()[-4000:])
    return found


def _family(process: int) -> Iterator[tuple[str, float]]:
    """What a process and its children run, with the most megabytes that each has held."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines() if ":" in line)
            words = (path / "cmdline").read_text().split("\0")
        except OSError:  # it has ended
            continue
        if process in (int(path.name), int(status["PPid"])) and "-m" in words and "VmHWM" in status:
            yield words[words.index("-m") + 1], int(status["VmHWM"].split()[0]) / 1024


def memory(peaks: dict[str, float]) -> str:
    """The table of what processes held."""
    rows = "\n".join(f"| {name} | {peak:,.0f} |" for name, peak in peaks.items())
    return f"\n## Memory\n\n| process | MB at most |\n|---|---|\n{rows}\n"


def planted(folder: Path, prompts: int) -> RunSpec:
    """The embedded configuration's own arm with the perception reward, few steps, on a hardly warmed-up model."""
    from tests import training

    overrides = (f"train.steps={STEPS}", f"train.learning_rate={STILL}", "train.save_every=1000")
    sizes = ("train.generations=8", f"train.prompts_per_step={prompts}", "train.max_completion_tokens=56")
    return training.planted(folder, *overrides, *sizes, count=480)


def ran(side: str, *specs: RunSpec) -> Any:
    """What a process of its own measured."""
    paths = [spec.folder / "RUN.json" for spec in specs]
    for path, spec in zip(paths, specs, strict=True):
        path.write_text(json.dumps(spec.as_json()))
    words = [sys.executable, "-m", "bench.train", "--child", side, *map(str, paths)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def together(*specs: RunSpec) -> dict[str, dict[str, float]]:
    """Seconds a step of both sides, in threads of which one runs at a time, with the generators' states of its own."""
    from transformers import TrainerCallback

    from perception_r1.train import checkpoints

    trainers = {_side(spec): ours(spec) if _side(spec) == "ours" else plain(spec) for spec in specs}
    took: dict[str, list[tuple[float, float]]] = {side: [] for side in trainers}
    turns, waiting = threading.Condition(), list(trainers)

    def next_one(side: str) -> None:
        """Lets the other side take its step, and returns when it has."""
        with turns:
            waiting.append(waiting.pop(0))
            turns.notify_all()
            turns.wait_for(lambda: waiting[0] == side)

    class Turn(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def __init__(self, side: str) -> None:
            self.side, self.began = side, (0.0, 0.0)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            took[self.side].append((time.process_time() - self.began[0], time.perf_counter() - self.began[1]))
            states = checkpoints.generators()
            next_one(self.side)
            checkpoints.restore(states)
            self.began = time.process_time(), time.perf_counter()

    def run(side: str) -> None:
        with turns:
            turns.wait_for(lambda: waiting[0] == side)
        trainers[side].train()
        with turns:
            waiting.remove(side)
            turns.notify_all()

    threads = [threading.Thread(target=run, args=(side,)) for side in trainers]
    for side, trainer in trainers.items():
        trainer.add_callback(Turn(side))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    medians = {
        side: [statistics.median(values) for values in zip(*steps[1:], strict=True)] for side, steps in took.items()
    }
    return {side: {"cpu_s": cpu_s, "wall_s": wall_s} for side, (cpu_s, wall_s) in medians.items()}


def _side(spec: RunSpec) -> str:
    return next(side for side in SIDES if side.replace(" ", "") == spec.folder.parent.name)


def measured(side: str, spec: RunSpec) -> dict[str, float]:
    """Seconds a step, of the CPU and of the wall, and seconds that rewards were waited for."""
    from transformers import TrainerCallback

    trainer = ours(spec) if side == "ours" else plain(spec)
    marks: list[tuple[float, float]] = []
    waits: list[float] = []

    class Marks(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append((time.process_time(), time.perf_counter()))

    calculate = trainer._calculate_rewards

    def timed(*given: Any) -> Any:
        started = time.perf_counter()
        found = calculate(*given)
        waits.append(time.perf_counter() - started)
        return found

    trainer._calculate_rewards = timed
    trainer.add_callback(Marks())
    trainer.train()
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(marks)]
    return {
        "cpu_s": statistics.median(cpu for cpu, _ in steps),
        "wall_s": statistics.median(wall for _, wall in steps),
        "waited_s": statistics.median(waits[1:]),
        "longest_wait_s": max(waits[1:]),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def ours(spec: RunSpec) -> Any:
    """Our trainer, with ledger, verdicts and all."""
    from perception_r1.judges import open_judge
    from perception_r1.models import open_model, open_processor
    from perception_r1.train import data
    from perception_r1.train.trainer import PerceptionTrainer

    processor = open_processor(spec.base)
    judge = open_judge(spec.judge, spec.judging) if spec.judge else None
    model = open_model(spec.base)
    return PerceptionTrainer(spec, judge, processor, model=model, train_dataset=data.dataset(spec, processor))


def plain(spec: RunSpec) -> Any:
    """TRL's own trainer with a trivial reward; with a served judge, an async reward function that asks it."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    from perception_r1.judges import Case, open_judge
    from perception_r1.models import open_model, open_processor
    from perception_r1.train import data
    from perception_r1.train.settings import config

    def trivial(completions: Any, **_: Any) -> list[float]:
        return [0.0 for _ in completions]

    judge = open_judge(spec.judge, spec.judging) if spec.judge and spec.judge.base_url else None

    async def asked(completions: Any, annotation_ids: Any, annotation_texts: Any, **_: Any) -> list[float]:
        facts = [tuple(zip(*row, strict=True)) for row in zip(annotation_ids, annotation_texts, strict=True)]
        cases = [Case(said[0]["content"], known) for said, known in zip(completions, facts, strict=True)]
        assert judge is not None
        judged = await asyncio.to_thread(judge.judge, cases)
        return [float(sum(one.verdict == "supported" for one in each)) for each in judged]

    processor = open_processor(spec.base)
    return GRPOTrainer(
        model=open_model(spec.base),
        reward_funcs=[asked if judge else trivial],
        args=config(spec, processor),
        train_dataset=data.dataset(spec, processor),
        processing_class=processor,
    )


def written(steps: list[dict[str, dict[str, float]]], waits: list[dict[str, dict[str, float]]]) -> str:
    """The page."""
    ratios = sorted(row["ours"]["cpu_s"] / row["plain TRL"]["cpu_s"] for row in steps)
    middle = statistics.geometric_mean(ratios)  # of an even number: who comes second is slower
    lines = [
        f"| {n} | {row['plain TRL']['cpu_s']:.3f} | {row['ours']['cpu_s']:.3f} | "
        f"{row['ours']['cpu_s'] / row['plain TRL']['cpu_s']:.3f} | {row['plain TRL']['wall_s']:.3f} | "
        f"{row['ours']['wall_s']:.3f} |"
        for n, row in enumerate(steps)
    ]
    told = []
    for name, row in zip(("no reference model: nothing to wait under", "a reference model's pass"), waits, strict=True):
        for side in SIDES:
            got = row[side]
            told.append(
                f"| {name} | {side} | {got['wall_s']:.2f} | {got['waited_s']:.3f} | {got['longest_wait_s']:.3f} | "
                f"{got['waited_s'] / got['wall_s']:.1%} |"
            )
    return (
        f"# The training step\n\n`python -m bench.train`: {described()}; load {os.getloadavg()[0]:.1f} at its end.\n\n"
        "## Beside plain TRL with a trivial reward\n\n"
        "Median seconds of a step of 64 completions; ours with five rewards, verdicts, ledger and progress.\n\n"
        "| repeat | TRL, CPU s | ours, CPU s | ratio | TRL, wall s | ours, wall s |\n|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nGeometric mean of the ratios of CPU seconds: **{middle:.3f}**"
        f" (from {ratios[0]:.3f} to {ratios[-1]:.3f}).\n\n"
        f"## A judge that takes {JUDGE_S * 1000:.0f} ms\n\n"
        "128 completions a step, each asked about; seconds in which the rewards were waited for after all of TRL's own "
        "passes.\n\n| what TRL does meanwhile | side | step, wall s | waited, s | longest, s | of the step |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(told) + "\n"
    )


if __name__ == "__main__":
    main()
