"""SIGKILL at random moments, several writers on one store: nothing acknowledged may be lost, torn or half visible.

    python -m bench.kills --kills 200 --writers 4        # the long version; `make test` runs a short one

Two trials. `storm`: writers put tables and folders and append to logs until they are killed. `pipeline`: a chain of
stages is killed again and again until it ends, and must end as the undisturbed chain does.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import storage
from bench.machine import described
from storage import Log, Store, Work, provenance

RESULTS = Path(__file__).parent / "results" / "kills.md"
UNITS = 8  # shards a stage
STAGES = ("annotate", "judge", "train")


@dataclass(frozen=True)
class Outcome:
    """What a trial saw; everything but the counts of work must be zero."""

    kills: int
    acknowledged: int
    lost: int
    damaged: int
    leftovers: int
    left_after_gc: int


def storm(root: Path, kills: int, writers: int, seed: int) -> Outcome:
    """Kills all writers at `kills` random moments and looks at what is left.

    The writers are forked from a process that has imported everything and used nothing, so that they start at once.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "bench.kills", "--zygote", *map(str, (root, kills, writers, seed))], check=True
    )
    store = storage.open_store(root)
    promised = [
        json.loads(line) for path in root.parent.glob("acknowledged-*") for line in path.read_text().splitlines()
    ]
    lost = sum(not _kept(store, promise) for promise in promised)
    findings = storage.verify(store)
    storage.gc(store, keep=10**6, grace_s=0, unfinished=True, delete=True)
    return Outcome(
        kills=kills,
        acknowledged=len(promised),
        lost=lost,
        damaged=sum(finding.level == "damaged" for finding in findings),
        leftovers=sum(finding.level == "leftover" for finding in findings),
        left_after_gc=len(storage.verify(store)),
    )


def _kept(store: Store, promise: dict[str, Any]) -> bool:
    """Whether what was acknowledged is there, whole."""
    if "log" in promise:
        with Log(Path(promise["log"])) as log:
            return log.rows >= promise["rows"]
    version = store.at(promise["version"])
    content = store.get(version)
    rows = sum(1 for _ in content.iterdir()) if isinstance(content, Path) else content.num_rows
    return (version.digest, rows) == (promise["digest"], promise["rows"])


def _zygote(root: Path, kills: int, writers: int, seed: int) -> None:
    chance = random.Random(seed)
    # what costs a process its first second (pyarrow looks for pandas, the packages are listed) the children inherit
    provenance.environment(), provenance.checkout_state(), pa.array(["x"])
    for round_ in range(kills):
        children = [_forked(lambda w=writer, r=round_: _write(root, w, r)) for writer in range(writers)]
        time.sleep(chance.uniform(0.005, 0.08))
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


def _forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)  # a writer only ends by being killed
    return child


def _write(root: Path, writer: int, round_: int) -> None:
    """Puts and appends until killed; each promise is written down after the store made it."""
    acknowledged = os.open(root.parent / f"acknowledged-{writer}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store = storage.open_store(root)
    log = Log(root / "logs" / "rollouts" / f"writer{writer}" / "storm", flush_s=60)
    folder = root.parent / f"checkpoint-{writer}"
    for count in range(10**6):
        rows = [{"writer": writer, "round": round_, "count": count, "text": "x" * 500}] * 20
        table = store.put("annotations", "shared" if count % 2 else f"own{writer}", rows, config={"count": count})
        _acknowledge(acknowledged, {"version": table.version, "digest": table.digest, "rows": 20})
        log.append(rows)
        _acknowledge(acknowledged, {"log": str(log.folder), "rows": log.flush()})
        folder.mkdir(exist_ok=True)
        for name in ("model", "optimizer"):
            (folder / name).write_text(f"{name} {writer} {round_} {count}" * 50)
        checkpoint = store.put("checkpoint", "shared", folder, config={"count": count})
        _acknowledge(acknowledged, {"version": checkpoint.version, "digest": checkpoint.digest, "rows": 2})


def _acknowledge(descriptor: int, promise: dict[str, Any]) -> None:
    os.write(descriptor, json.dumps(promise).encode() + b"\n")


@dataclass(frozen=True)
class Chain:
    """How a chain of stages ended, and the units of work that it did on the way."""

    digests: tuple[str, ...]
    units: int


def pipeline(root: Path, kills: int, seed: int) -> tuple[Chain, Chain]:
    """The undisturbed chain, and the one that was killed `kills` times before it could end."""
    calm = _run_chain(root / "calm", iter(()))
    chance = random.Random(seed)
    return calm, _run_chain(root / "killed", (chance.uniform(0.3, 0.75) for _ in range(kills)))


def _run_chain(root: Path, moments: Iterable[float]) -> Chain:
    root.mkdir(parents=True)
    command = [sys.executable, "-m", "bench.kills", "--chain", str(root)]
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(moment)
        process.kill()
        process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    store = storage.open_store(root / "store")
    assert not [finding for finding in storage.verify(store) if finding.level == "damaged"]
    digests = tuple(store.latest(stage, "chain").digest for stage in STAGES)
    return Chain(digests, (root / "units").read_text().count("\n"))


def _chain(root: Path) -> None:
    """Three stages of eight units each; every unit is counted as it ends."""
    store = storage.open_store(root / "store")
    inputs: list[storage.Artifact] = []
    for stage in STAGES:

        def body(work: Work, stage: str = stage) -> dict[str, Any]:
            return {f"{stage}/chain": (work.shard(i, lambda i: _unit(root, stage, i)) for i in range(UNITS))}

        inputs = [storage.stage(store, stage, inputs, {}, body)[f"{stage}/chain"]]


def _unit(root: Path, stage: str, number: int) -> list[dict[str, Any]]:
    time.sleep(0.02)
    with (root / "units").open("a") as file:
        file.write(f"{stage} {number}\n")
    return [{"stage": stage, "i": number, "text": "x" * 1000}] * 50


def main() -> None:
    """Runs both trials and prints what they saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zygote", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--chain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.zygote:
        root, *numbers = options.zygote
        _zygote(Path(root), *map(int, numbers))
    elif options.chain:
        _chain(options.chain)
    else:
        _report(options.kills, options.writers, options.seed)


def _report(kills: int, writers: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = storm(Path(folder) / "storm" / "store", kills, writers, seed)
        calm, killed = pipeline(Path(folder) / "pipeline", kills // 4, seed)
    same = "identical" if calm.digests == killed.digests else "DIFFERENT"
    lines = [
        f"# Killed writers\n\n`python -m bench.kills --kills {kills} --writers {writers}`: {described()}.\n",
        f"## {writers} writers of tables, folders and logs, all killed at {kills} random moments\n",
        "| seen | count |\n|---|---|",
        *(f"| {name.replace('_', ' ')} | {count} |" for name, count in asdict(seen).items()),
        f"\n## A chain of {len(STAGES)} stages of {UNITS} units, killed {kills // 4} times\n",
        f"Hashes {same} to the undisturbed chain's; {killed.units - calm.units} units redone.",
    ]
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
