"""What Prefect, the store and logging cost: a run of the workflow beside the same work called directly.

OMP_NUM_THREADS=1 python -m bench.overhead            # both sides of the default run; writes bench/results/overhead.md
python -m bench.overhead --profile quick              # a first look

Both sides start the same child processes with the same number side by side. The start of a fresh Prefect server is
measured on its own and not part of the overhead.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    """Runs both sides, one after the other, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [("the work called directly", direct(load(CONFIG, options.profile, options.overrides), Path(folder)))]
    for name, flags in (("the workflow, --no-prefect", ["--no-prefect"]), ("the workflow under Prefect", [])):
        with tempfile.TemporaryDirectory() as folder:
            rows.append((name, workflow(Path(folder), options, flags)))
            if not flags:
                rows.append(("a second run that finds everything", workflow(Path(folder), options, flags)))
    base = rows[0][1]
    lines = [f"| {name} | {seconds:.1f} | {(seconds - base) / base:+.1%} |" for name, seconds in rows]
    text = (
        f"# What orchestration costs\n\n`python -m bench.overhead {' '.join(sys.argv[1:])}`: {described()}.\n\n"
        "| | seconds | against the direct call |\n|---|---|---|\n" + "\n".join(lines) + "\n\n"
        "The last line is the fixed cost of a Prefect run: imports, the start of its server, one flow and its tasks.\n"
    )
    RESULTS.write_text(text)
    print(text)


def workflow(folder: Path, options: argparse.Namespace, flags: list[str]) -> float:
    """Seconds of `perception-r1 run` in a folder of its own."""
    words = ["--config", str(CONFIG.absolute()), *(["--profile", options.profile] if options.profile else []), *flags]
    words += [word for override in options.overrides for word in ("--set", override)]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(Path.cwd())}
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "flows", "run", *words], cwd=folder, env=environment, check=True)
    return time.monotonic() - started


def direct(config: Config, folder: Path) -> float:
    """Seconds of the same work without workflow and store."""
    started = time.monotonic()
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
    return time.monotonic() - started


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
