"""The store beside bare Parquet, bare hashing and the bare disk; then many writers and many versions.

    python -m bench.store            # about three minutes; writes bench/results/store.md

Both sides of a ratio run alternately in one process and the medians are compared; the machine's other tenants hit both.
"""

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

import storage
from bench.machine import described
from storage.artifact import digest_of, seal, version_key
from storage.digest import TableDigest, canonical_schema, file_hash
from storage.place import sync_file, sync_folder

RESULTS = Path(__file__).parent / "results" / "store.md"
REPEATS = 7
CHECKPOINT_FILES, CHECKPOINT_BYTES = 4, 512 << 20


def main() -> None:
    """Runs everything and writes the table."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        root = Path(folder)
        sections = [
            tables(root / "tables"),
            many_writers(root / "writers"),
            thousand(root / "thousand"),
            hundred_thousand(root / "hundred"),
            checkpoint(root / "checkpoint"),
            memory(root / "memory"),
        ]
    versions = f"pyarrow {pa.__version__}, DuckDB {duckdb.__version__}"
    text = f"# The store, measured\n\n`python -m bench.store`: {described()}, {versions}.\n\n" + "\n\n".join(sections)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text + "\n")
    print(text)


def tables(root: Path) -> str:
    """Put and get of text and of images against the same work done bare."""
    root.mkdir()
    chance = random.Random(0)
    words = [f"word{i}" for i in range(5000)]
    text = {
        "text": pa.array([" ".join(chance.choices(words, k=65)) for _ in range(100_000)]),
        "score": pa.array([chance.random() for _ in range(100_000)]),
    }
    images = {"png": pa.array([chance.randbytes(20_000) for _ in range(2000)])}
    store = storage.open_store(root / "store")
    rows = against_bare(store, "text", "100,000 text rows", text) + against_bare(
        store, "images", "2,000 images", images
    )
    for i in range(100):
        store.put("verdicts", "x", [{"i": i}])
    by_id = statistics.median(timed(lambda i=i: store.get(f"verdicts/x@{i + 1}")) for i in range(100))
    rows.append(f"| get a small version by id, store open | | {ms(by_id)} | | ≤ 5 ms |")
    path = store.path(store.latest("problems", "images"))
    query = f"SELECT png FROM '{path}' WHERE id = '{REPEATS - 1}-{{}}'"
    one = statistics.median(timed(lambda i=i: duckdb.sql(query.format(i)).fetchall()) for i in range(0, 2000, 100))
    rows.append(f"| one image of 2,000 by its id, DuckDB | | {ms(one)} | | |")
    head = "## Put and get\n\nBare: canonical digest, `pq.write_table` with its defaults, fsync of file and folder.\n\n"
    return head + "| | bare ms | store ms | ratio | wanted |\n|---|---|---|---|---|\n" + "\n".join(rows)


def against_bare(store: storage.Store, name: str, what: str, columns: dict[str, pa.Array]) -> list[str]:
    """Writes and reads in turns; each turn has contents of its own, for a store would find the same again."""
    bare_path = Path(str(store.place)) / "bare.parquet"
    puts = []
    for turn in range(REPEATS):
        length = len(next(iter(columns.values())))
        table = pa.table({"id": [f"{turn}-{i}" for i in range(length)], **columns})
        bare_path.parent.mkdir(exist_ok=True)
        puts.append(
            (timed(lambda t=table: bare_write(t, bare_path)), timed(lambda t=table: store.put("problems", name, t)))
        )
    bare_put, our_put = medians(puts)
    gets = [(timed(lambda: pq.read_table(bare_path)), timed(lambda: store.get(f"problems/{name}"))) for _ in puts]
    bare_get, our_get = medians(gets)
    bare_path.unlink()
    return [
        compared(f"put {what} ({table.nbytes / 1e6:.0f} MB)", bare_put, our_put),
        compared("get the same", bare_get, our_get),
    ]


def compared(what: str, bare: float, ours: float) -> str:
    return f"| {what} | {ms(bare)} | {ms(ours)} | {ours / bare:.2f} | ≤ 1.25 |"


def medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """The medians of the two sides."""
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def bare_write(table: pa.Table, path: Path) -> None:
    """What anybody would have to do: a digest, a Parquet file, on the disk."""
    digest = TableDigest(canonical_schema(table.schema))
    for batch in table.to_batches():
        digest.update(batch)
    digest.hexdigest()
    pq.write_table(table, path)
    sync_file(path)
    sync_folder(path.parent)


WRITER = """
import sys, time, storage
store, times = storage.open_store(sys.argv[1]), []
for i in range(int(sys.argv[3])):
    started = time.perf_counter()
    store.put("rollouts", "shared", [{"writer": sys.argv[2], "i": i}])
    times.append(time.perf_counter() - started)
print(*times)
"""


def many_writers(root: Path, writers: int = 8, each: int = 100) -> str:
    """Processes that append to one name of one store at once."""
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, root, str(i), str(each)], stdout=subprocess.PIPE, text=True)
        for i in range(writers)
    ]
    times = sorted(float(t) for process in processes for t in process.communicate()[0].split())
    store = storage.open_store(root)
    seqs = store.versions.seqs("rollouts", "shared")
    dense = "dense" if seqs == list(range(1, len(seqs) + 1)) else "WITH GAPS"
    return (
        f"## {writers} processes × {each} versions of one name, every write synced\n\n"
        "| versions | numbers | p50 ms | p99 ms | max ms | wanted |\n|---|---|---|---|---|---|\n"
        f"| {len(seqs)} of {writers * each} | {dense} | {ms(statistics.median(times))} "
        f"| {ms(times[int(len(times) * 0.99)])} | {ms(times[-1])} | all, p50 ≤ 50 ms |"
    )


def thousand(root: Path) -> str:
    """Listing, latest and lineage with a thousand versions that hang together in chains of ten."""
    return "## 1,000 versions\n\n" + many_versions(root, names=100, each=10, wanted="≤ 50 ms")


def hundred_thousand(root: Path) -> str:
    """The same with a hundred times as many."""
    return "## 100,000 versions (generated records)\n\n" + many_versions(root, names=1000, each=100, wanted="≤ 1 s")


def many_versions(root: Path, names: int, each: int, wanted: str) -> str:
    """Times of a fresh handle each, with the catalogue that the first listing left."""
    generate(root, names, each)
    first = timed(lambda: storage.artifacts(storage.open_store(root)))
    last = f"rollouts/n{names - 1}@{each}"
    cause = storage.open_store(root).at(last).cause
    asked: dict[str, Callable[[storage.Store], object]] = {
        "list all (as Artifacts)": storage.artifacts,
        "list all (SQL)": lambda s: storage.sql("SELECT version, created, status FROM versions", s).fetchall(),
        "latest of a name": lambda s: s.latest("rollouts", f"n{names - 1}"),
        "ancestors": lambda s: storage.lineage(s, last),
        "descendants": lambda s: storage.lineage(s, "rollouts/n0@1", "down"),
        "find by cause": lambda s: s.find(cause),
    }
    rows = [f"| first listing: reads every record, leaves a catalogue | {ms(first)} | once |"]
    for name, ask in asked.items():
        took = statistics.median(timed(lambda ask=ask: ask(storage.open_store(root))) for _ in range(REPEATS))
        rows.append(f"| {name} | {ms(took)} | {wanted} |")
    return "| | ms | wanted |\n|---|---|---|\n" + "\n".join(rows)


def generate(root: Path, names: int, each: int) -> None:
    """Records as `put` writes them, without the syncs that would take an hour."""
    store = storage.open_store(root)
    record = store.put("rollouts", "n0", [{"i": 0}]).record()
    for name in range(names):
        (root / f"versions/rollouts/n{name}").mkdir(exist_ok=True)
        for seq in range(1, each + 1):
            parents = [{"version": f"rollouts/n{name}@{seq - 1}", "digest": record["digest"]}] if seq > 1 else []
            own = {"name": f"n{name}", "parents": parents, "config": {"seq": seq}, "cause": digest_of([name, seq])}
            (root / version_key("rollouts", f"n{name}", seq)).unlink(missing_ok=True)
            (root / version_key("rollouts", f"n{name}", seq)).write_bytes(seal(record | own))


def checkpoint(root: Path) -> str:
    """A checkpoint of 2 GB: put by copy and by adoption, against the disk and the hash alone."""
    source = root / "source"
    source.mkdir(parents=True)
    for i in range(CHECKPOINT_FILES):
        with (source / f"shard{i}").open("wb") as file:
            for _ in range(CHECKPOINT_BYTES >> 20):
                file.write(os.urandom(1 << 20))
        sync_file(source / f"shard{i}")
    size = CHECKPOINT_FILES * CHECKPOINT_BYTES
    hashing = timed(lambda: [file_hash(path) for path in sorted(source.iterdir())])
    disk = timed(lambda: copy_synced(source, root / "copy"))
    store = storage.open_store(root / "store")
    copied = timed(lambda: store.put("checkpoint", "copied", source))
    (source / "shard2").write_bytes(os.urandom(CHECKPOINT_BYTES))
    sync_file(source / "shard2")
    before = stored_files(root)
    second = timed(lambda: store.put("checkpoint", "copied", source))
    new = stored_files(root) - before
    other = storage.open_store(root / "adopting")
    adopted = timed(lambda: other.put("checkpoint", "adopted", source, adopt=True))
    rows = [
        ("sha256 alone", hashing, ""),
        ("copy to the disk and fsync alone", disk, ""),
        ("put by copy", copied, f"{max(hashing, disk) / copied:.2f} × the slower of the two (wanted ≥ 0.8)"),
        ("put of a unit of work's own files (adopted)", adopted, f"{hashing / adopted:.2f} × the hash"),
        ("put of a second one, one of four files differs", second, f"{new} file stored"),
    ]
    lines = [f"| {what} | {seconds:.2f} | {rate(size, seconds)} | {note} |" for what, seconds, note in rows]
    shutil.rmtree(root)
    return "## A checkpoint of 2 GB in four files\n\n| | s | MB/s | |\n|---|---|---|---|\n" + "\n".join(lines)


STREAMED = """
import re, sys, storage
rows = ({"id": i, "text": f"row {i} " * 40} for i in range(int(sys.argv[2])))
store = storage.open_store(sys.argv[1])
store.put("rollouts", "x", rows)
read = sum(batch.num_rows for batch in store.stream("rollouts/x"))
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def memory(root: Path) -> str:
    """Peak memory of a process that puts rows from a generator and streams them back."""
    lines = []
    for count in (1, 200_000, 2_000_000):
        command = [sys.executable, "-c", STREAMED, str(root / str(count)), str(count)]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        lines.append(f"| {count:,} | {peak:,.0f} |")
    return "## Peak memory of put and stream, rows of 400 bytes\n\n| rows | MiB |\n|---|---|\n" + "\n".join(lines)


def copy_synced(source: Path, target: Path) -> None:
    target.mkdir()
    for path in sorted(source.iterdir()):
        shutil.copyfile(path, target / path.name)
        sync_file(target / path.name)
    shutil.rmtree(target)


def stored_files(root: Path) -> int:
    return len([path for path in (root / "store").glob("objects/*/*") if path.suffix == ""])


def timed(action: Callable[[], object]) -> float:
    """Seconds that the action took."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f}"


def rate(size: int, seconds: float) -> str:
    return f"{size / seconds / 1e6:,.0f}"


if __name__ == "__main__":
    main()
