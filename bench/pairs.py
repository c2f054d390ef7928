"""All pairs of ten models on eight benchmarks of a million items each, from Parquet: how long, and how much memory?

    python -m bench.pairs            writes bench/results/pairs.md (80 million rows, 1 GB in a temporary folder)
    python -m bench.pairs --quick    ten thousand items a benchmark, printed only

What is measured is the command `perception-r1 mcnemar --parquet`, a process of its own: its start, the counting, 360
exact tests with Holm, and the printing. The machine is shared, so CPU time stands beside wall time.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.machine import described

RESULTS = Path(__file__).parent / "results" / "pairs.md"
ROOT = Path(__file__).parent.parent
MODELS, BENCHMARKS, SEED = 10, 8, 20261121


def write(folder: Path, items: int, shuffled: bool) -> None:
    """A file a model and benchmark, as evaluate writes them; the models differ in few items, as models do."""
    for benchmark in range(BENCHMARKS):
        rng = np.random.default_rng([SEED, benchmark])
        numbers = pc.utf8_lpad(pc.cast(pa.array(np.arange(items)), pa.string()), 7, "0")
        names = pc.binary_join_element_wise(f"bench{benchmark}", numbers, "-")
        easy = rng.random(items)
        for model in range(MODELS):
            right = easy + 0.25 * rng.standard_normal(items) < 0.5 + 0.002 * model
            table = pa.table({"item": names, "correct": right})
            for column, value in (("benchmark", f"bench{benchmark}"), ("model", f"model{model}")):
                table = table.append_column(column, pa.array([value] * items).dictionary_encode())
            if shuffled:
                table = table.take(pa.array(rng.permutation(items)))
            pq.write_table(table, folder / f"bench{benchmark}-model{model}.parquet")


def measured(folder: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and the largest resident memory in MiB of the command; the best of three by CPU."""
    command = [sys.executable, "-m", "flows", "mcnemar", "--parquet", str(folder / "*.parquet"), "--id", "item"]
    found = []
    for _ in range(3):
        started = time.monotonic()
        child = subprocess.Popen([*command, "--json"], cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit("the command failed")
        found.append((time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
    return min(found, key=lambda run: run[1])


def main() -> None:
    """Writes the table."""
    quick = "--quick" in sys.argv
    items = 10_000 if quick else 1_000_000
    rows = []
    for name, shuffled in (("rows in the same order (as evaluate writes them)", False), ("rows in any order", True)):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), items, shuffled)
            wall, cpu, memory = measured(Path(folder))
        rows.append(f"| {name} | {wall:.1f} | {cpu:.1f} | {memory:,.0f} |")
    size = f"{MODELS} models x {BENCHMARKS} benchmarks x {items:,} items = {MODELS * BENCHMARKS * items:,} rows"
    tests = f"{MODELS * (MODELS - 1) // 2 * BENCHMARKS} exact tests, Holm over all"
    text = f"""# All pairs of many models

`python -m bench.pairs`, {described()}, load {os.getloadavg()[0]:.1f}.
{size}, {tests}. A whole process each, its start included (0.6 s of CPU time);
the best of three by CPU time. The target is 5 s and 2,048 MiB.

| {items:,} items a benchmark | wall, s | CPU, s | memory, MiB |
| --- | ---: | ---: | ---: |
{chr(10).join(rows)}

Files whose keys lie alike, byte for byte, are joined by position and no key is read; others are joined by key.
"""
    if quick:
        print(text)
    else:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
