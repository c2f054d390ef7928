"""What Prefect, the store and logging cost: a run of the workflow beside the same work called directly.

OMP_NUM_THREADS=1 python -m bench.overhead            # all sides of the default run; writes bench/results/overhead.md
python -m bench.overhead --profile quick              # a first look

All sides start the same child processes with the same number side by side. The start of a fresh Prefect server is
measured on its own and not part of the overhead; scores and the page, which the direct call leaves out, are.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from bench.machine import described
from perception_r1.annotate.extract import extract
from perception_r1.annotate.hygiene import clean
from perception_r1.annotate.problems import load_problems
from perception_r1.annotate.trajectories import ask_trajectories
from perception_r1.child import run_child
from perception_r1.compare import Plan, compare_models
from perception_r1.compare.contrast import UNTOUCHED
from perception_r1.compare.family import spread
from perception_r1.config import load
from perception_r1.endpoints import open_endpoint
from perception_r1.evaluate import grade_answer
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.judges import open_judge
from perception_r1.records import Annotation, Problem
from perception_r1.sections import Config
from perception_r1.table import table_of
from perception_r1.train.spec import RunSpec
from perception_r1.validate import gold_set
from perception_r1.validate.trial import Entrant, trial

RESULTS = Path(__file__).parent / "results" / "overhead.md"
CONFIG = Path("configs/embedded.toml")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Side:
    """What one side took: wall seconds, CPU seconds of all its processes, and those of the process that leads it."""

    name: str
    wall: float
    cpu: float
    own: float  # with Prefect's server, where there is one; without the children that warm up, train and evaluate


def main() -> None:
    """Runs all sides, one after the other, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--direct", type=Path, help=argparse.SUPPRESS)  # the first side, in a process of its own
    options = parser.parse_args()
    if options.direct:
        direct(load(CONFIG, options.profile, options.overrides), options.direct)
        return
    said = ["--profile", options.profile] if options.profile else []
    said += [word for override in options.overrides for word in ("--set", override)]
    run = ["-m", "flows", "run", "--config", str(CONFIG.absolute()), *said]
    with fresh() as folder:
        sides = [side("the work called directly", ["-m", "bench.overhead", *said, "--direct", str(folder)], folder)]
    with fresh() as folder:
        sides.append(side("the workflow, --no-prefect", [*run, "--no-prefect"], folder))
    with fresh() as folder, prefect_server(folder) as (server, start_s):
        sides.append(side("the workflow under Prefect", run, folder, server))
        sides.append(side("a second run that finds everything", run, folder, server))
    text = written(sides, start_s)
    RESULTS.write_text(text)
    print(text)


def written(sides: list[Side], start_s: float) -> str:
    """The table: what each side took, and what leading it took more than leading the direct call."""
    first = sides[0]
    lines = [
        f"| {s.name} | {s.wall:.1f} | {s.cpu:.1f} | {s.own:.1f} | {(s.own - first.own) / first.cpu:+.1%} |"
        for s in sides
    ]
    return (
        f"# What orchestration, storage and logging cost\n\n`python -m bench.overhead {' '.join(sys.argv[1:])}`: "
        f"{described()}.\n\n"
        "| | wall s | CPU s | of them the leader's | more than the direct call's, of all its CPU |\n"
        "|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nThe start of a fresh Prefect server, on its own: {start_s:.1f} s. All sides start the same children, "
        "whose seconds vary with\nwhatever else the machine does. What Prefect, the store and logging take is spent in "
        "the leader: the leading process\nwith Prefect's server. The last column compares that.\n"
    )


def side(name: str, words: list[str], folder: Path, *beside: psutil.Process) -> Side:
    """What a Python program takes, with its children that ended and the processes beside it."""
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(Path.cwd())}
    wall, cpu, servers = time.monotonic(), children_s(), sum(map(seconds, beside))
    program = psutil.Popen([sys.executable, *words], cwd=Path.cwd() if "--direct" in words else folder, env=environment)
    own = 0.0
    while program.poll() is None:
        own = max(own, seconds(program))
        time.sleep(0.05)
    if program.returncode:
        sys.exit(f"{name} failed")
    servers = sum(map(seconds, beside)) - servers
    return Side(name, time.monotonic() - wall, children_s() - cpu + servers, own + servers)


def seconds(process: psutil.Process) -> float:
    """CPU seconds of a process, without its children's."""
    with suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:2]))
    return 0.0


def children_s() -> float:
    """CPU seconds of all children of this process that ended, and of theirs."""
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


@contextmanager
def fresh() -> Iterator[Path]:
    """An empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


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
    seen = [row for row in rows if row["condition"] == UNTOUCHED]
    compare_models(seen, Plan(contrasts=config.compare.contrasts))
    spread(seen)


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
    judge = config.validate.judge
    trial(gold, [Entrant(judge, open_judge(config.endpoints[judge], config.validate.judging, None))], config.validate)
    pq.write_table(table_of(problems, Problem), folder / "problems.parquet")
    pq.write_table(table_of(facts, Annotation), folder / "annotations.parquet")


def based(config: Config, folder: Path, seed: int) -> Path:
    """The warm-started model of a seed."""
    here = folder / f"base{seed}"
    spec = {"folder": str(here), "seed": seed, "steps": config.train.warm_start_steps}
    run_child("perception_r1.world", spec, here, forked=True, environment=ONE_THREAD)
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
    run_child("perception_r1.train", spec.as_json(), spec.folder, forked=True, environment=ONE_THREAD)
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
        conditions=settings.conditions,
        items=settings.items,
        items_seed=settings.seed,
        batch=settings.batch,
        max_tokens=settings.max_tokens,
        min_pixels=0,
        max_pixels=0,
        bf16=False,
        instruction=config.train.instruction,
    )
    run_child("perception_r1.evaluate", spec.as_json(), spec.folder, forked=True, environment=ONE_THREAD)
    return sorted(spec.predictions.glob("*.parquet"))


if __name__ == "__main__":
    main()
