"""What Prefect, the store and logging cost: a run of the workflow beside the same work called directly.

OMP_NUM_THREADS=1 python -m bench.overhead            # all sides of the default run; writes bench/results/overhead.md
python -m bench.overhead --profile quick              # a first look

All sides start the same child processes with the same number side by side. The start of a fresh Prefect server is
measured on its own and not part of the overhead.
"""

import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from bench.machine import described
from perception_r1.annotate.extract import extract
from perception_r1.annotate.hygiene import clean
from perception_r1.annotate.problems import load_problems
from perception_r1.annotate.trajectories import ask_trajectories
from perception_r1.child import run_child
from perception_r1.compare.family import compare_models
from perception_r1.config import load
from perception_r1.endpoints import open_endpoint
from perception_r1.evaluate import grade_answer
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.judges import Judge
from perception_r1.records import Annotation, Problem
from perception_r1.sections import Config
from perception_r1.table import table_of
from perception_r1.train.spec import RunSpec
from perception_r1.validate import gates, gold_set, judge_metrics, judged

RESULTS = Path(__file__).parent / "results" / "overhead.md"
CONFIG = Path("configs/embedded.toml")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def main() -> None:
    """Runs all sides, one after the other, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = load(CONFIG, options.profile, options.overrides)
        rows = [("the work called directly", measured(lambda: direct(config, Path(folder))))]
    with tempfile.TemporaryDirectory() as folder:
        rows.append(("the workflow, --no-prefect", measured(lambda: workflow(Path(folder), options, ["--no-prefect"]))))
    with tempfile.TemporaryDirectory() as folder, prefect_server(Path(folder)) as (server, start_s):
        for name in ("the workflow under Prefect", "a second run that finds everything"):
            rows.append((name, measured(lambda: workflow(Path(folder), options, []), server)))
    text = written(rows, start_s)
    RESULTS.write_text(text)
    print(text)


def written(rows: list[tuple[str, tuple[float, float]]], start_s: float) -> str:
    """The table: each side's seconds, and what it took more than the direct call."""
    wall, cpu = rows[0][1]
    lines = [f"| {name} | {w:.1f} | {w / wall - 1:+.1%} | {c:.1f} | {c / cpu - 1:+.1%} |" for name, (w, c) in rows]
    return (
        f"# What orchestration costs\n\n`python -m bench.overhead {' '.join(sys.argv[1:])}`: {described()}.\n\n"
        "| | wall s | against the direct call | CPU s | against the direct call |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nThe start of a fresh Prefect server, on its own: {start_s:.1f} s. CPU seconds are of all processes, "
        "Prefect's server among them;\nthey are what to look at on a busy machine. The last line is the fixed "
        "cost of a run under Prefect: imports, one flow\nand its tasks.\n"
    )


def measured(work: Callable[[], None], *beside: psutil.Process) -> tuple[float, float]:
    """Wall and CPU seconds of the work: of this process, its children that ended, and the processes beside it."""
    wall, cpu = time.monotonic(), cpu_seconds(*beside)
    work()
    return time.monotonic() - wall, cpu_seconds(*beside) - cpu


def cpu_seconds(*beside: psutil.Process) -> float:
    """CPU seconds spent so far."""
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in own) + sum(sum(p.cpu_times()[:4]) for p in beside)


@contextmanager
def prefect_server(folder: Path) -> Iterator[tuple[psutil.Process, float]]:
    """A fresh Prefect server that the environment points to, and the seconds until it answered."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ |= {"PREFECT_HOME": str(folder / "home"), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    began = time.monotonic()
    server = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(f"http://127.0.0.1:{port}/api/health"):
            time.sleep(0.1)
        yield psutil.Process(server.pid), time.monotonic() - began
    finally:
        server.terminate()
        server.wait()


def answers(url: str) -> bool:
    """Whether there is somebody at the address."""
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


def workflow(folder: Path, options: argparse.Namespace, flags: list[str]) -> None:
    """`perception-r1 run` in a folder of its own."""
    words = ["--config", str(CONFIG.absolute()), *(["--profile", options.profile] if options.profile else []), *flags]
    words += [word for override in options.overrides for word in ("--set", override)]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-m", "flows", "run", *words], cwd=folder, env=environment, check=True)


def direct(config: Config, folder: Path) -> None:
    """The same work without workflow and store."""
    annotated(config, folder)
    with ThreadPoolExecutor(config.train.at_once) as pool:
        bases = {seed: pool.submit(based, config, folder, seed) for seed in config.train.seeds}
        runs = {
            (arm.name, seed): pool.submit(trained, config, folder, number, seed, bases[seed])
            for seed in config.train.seeds
            for number, arm in enumerate(config.train.arms)
        }
    models = {("base", seed): base.result() for seed, base in bases.items()}
    models |= {name: run.result() for name, run in runs.items()}
    with ThreadPoolExecutor(config.train.at_once) as pool:
        waiting = [pool.submit(evaluated, config, folder, *name, path) for name, path in models.items()]
    rows = [row for found in waiting for path in found.result() for row in pq.read_table(path).to_pylist()]
    compare_models(rows, config.compare.alpha, [])


def annotated(config: Config, folder: Path) -> None:
    """Problems and annotations as Parquet, and a judge that was tried."""
    settings = config.annotate
    teacher, extractor = (open_endpoint(config.endpoints[name]) for name in (settings.teacher, settings.extractor))
    problems = list(load_problems(settings.problems))

    def grade(response: str, problem: Problem) -> tuple[str | None, bool]:
        choices = lettered(problem.choices)
        return None, grade_answer(response, problem.answer, problem.answer_type, choices=choices).correct

    said = ask_trajectories(problems, teacher, settings.trajectories, settings.temperature, settings.seed, 512, grade)
    facts = clean(problems, said, extract(problems, said, extractor, 512)[0], settings, extractor.model)
    gold = gold_set(problems, facts, said, config.validate.problems, config.validate.seed)
    judge = Judge(open_endpoint(config.endpoints[config.validate.judge]))
    gates(judge_metrics(gold, judged(gold, judge)), config.validate)
    pq.write_table(table_of(problems, Problem), folder / "problems.parquet")
    pq.write_table(table_of(facts, Annotation), folder / "annotations.parquet")


def based(config: Config, folder: Path, seed: int) -> Path:
    """The warm-started model of a seed."""
    here = folder / f"base{seed}"
    spec = {"folder": str(here), "seed": seed, "steps": config.train.warm_start_steps}
    run_child("perception_r1.world", spec, here, environment=ONE_THREAD)
    return here / "model"


def trained(config: Config, folder: Path, number: int, seed: int, base: object) -> Path:
    """The model of an arm and a seed."""
    arm = config.train.arms[number]
    spec = RunSpec(
        folder=folder / f"{arm.name}{seed}",
        base=base.result(),  # type: ignore[attr-defined]
        problems=folder / "problems.parquet",
        annotations=folder / "annotations.parquet",
        weights=arm.weights,
        answer_types=arm.answer_types,
        seed=seed,
        train=config.train,
        judge=config.endpoints[config.validate.judge] if arm.weights.get("perception") else None,
    )
    run_child("perception_r1.train", spec.as_json(), spec.folder, environment=ONE_THREAD)
    return spec.model


def evaluated(config: Config, folder: Path, model: str, seed: int, weights: Path) -> list[Path]:
    """The predictions' files of a model on the first benchmark."""
    settings = config.evaluate
    spec = EvalSpec(
        folder=folder / f"evaluate-{model}{seed}",
        weights=weights,
        model=model,
        seed=seed,
        benchmark=settings.benchmarks[0],
        items=settings.items,
        items_seed=settings.seed,
        batch=settings.batch,
        max_tokens=settings.max_tokens,
        min_pixels=0,
        max_pixels=0,
        bf16=False,
        instruction=config.train.instruction,
    )
    run_child("perception_r1.evaluate", spec.as_json(), spec.folder, environment=ONE_THREAD)
    return sorted(spec.predictions.glob("*.parquet"))


if __name__ == "__main__":
    main()
