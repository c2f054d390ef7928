"""How fast annotating asks a teacher, what that costs in CPU and memory, and what the paper's problems would take.

python -m bench.annotate                       # all parts, a few minutes; writes bench/results/annotate.md
python -m bench.annotate --requests 500 --problems 500

The teacher is a stub in a process of its own that answers every request after 200 ms and has 256 places, so that no
client can do more than 1,280 requests a second. Every request carries a picture of 200 KB, each another one. The
stage is run as a user would, over a Parquet file of such pictures, then again, then killed halfway and gone on with;
and once over a longer file, for its memory. Python keeps its bytecode, as it does for a user.
"""

import argparse
import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.machine import described
from perception_r1 import sections
from perception_r1.annotate import extract, trajectories
from perception_r1.annotate.asking import Asker, Bill
from perception_r1.annotate.journal import Journal
from perception_r1.annotate.trajectories import Teaching
from perception_r1.annotate.usage import PAPER_PROBLEMS, PAPER_TOKENS
from perception_r1.endpoints import open_endpoint
from perception_r1.records import Problem
from perception_r1.world.embedded import tokens

ROOT = Path(__file__).resolve().parent.parent
BYTECODE = tempfile.TemporaryDirectory()  # what a process before has compiled
RESULTS = Path(__file__).parent / "results" / "annotate.md"
DELAY_S, PLACES, PICTURE = 0.2, 256, 200_000
ANSWER = "<think>AB is 5. BC is 6.</think>\n<answer>\\boxed{5}</answer>"
CLIENT = [
    "requests", "wall s", "requests/s", "of the limit", "client CPU ms a request", "of the limit on a core of its own",
    "peak MiB",
]  # fmt: skip
STAGE = ["what", "wall s", "CPU s", "requests", "peak MiB"]
FACTS = json.dumps({"annotations": [{"text": "AB is 5.", "type": "length"}, {"text": "BC is 6.", "type": "length"}]})


# ---------------------------------------------------------------- the stub


class Stub(asyncio.BufferedProtocol):
    """Reads a request to its end and answers after a while; the body is counted and thrown away.

    All connections read into one buffer: a new one for each 256 kB would make the server what is measured.
    """

    places: asyncio.Semaphore
    asked: Any
    buffer = bytearray(1 << 20)

    def connection_made(self, transport: Any) -> None:
        self.transport, self.head, self.left, self.tail = transport, b"", -1, b""

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        read = memoryview(self.buffer)[:nbytes]
        if self.left < 0:
            self.head += read
            if b"\r\n\r\n" not in self.head:
                return
            head, _, body = self.head.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            self.left, self.head, read = int(length[1]) if length else 0, b"", memoryview(body)
        self.left -= len(read)
        self.tail = (self.tail + bytes(read[-4096:]))[-4096:]
        if self.left <= 0:
            self.left, tail, self.tail = -1, self.tail, b""
            asyncio.get_running_loop().create_task(self.answer(b"json_schema" in tail))

    async def answer(self, extraction: bool) -> None:  # of a completion, or of the client's hello
        with self.asked.get_lock():
            self.asked.value += 1
        async with self.places:
            await asyncio.sleep(DELAY_S)
        message = {"role": "assistant", "content": FACTS if extraction else ANSWER}
        usage = {"prompt_tokens": 600, "completion_tokens": 300, "total_tokens": 900}
        body = json.dumps(
            {"id": "x", "object": "chat.completion", "created": 0, "model": "stub", "usage": usage,
             "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        ).encode()  # fmt: skip
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


async def _serve(port: Any, asked: Any) -> None:
    Stub.places, Stub.asked = asyncio.Semaphore(PLACES), asked
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
    port.value = server.sockets[0].getsockname()[1]
    await server.serve_forever()


def _stub(port: Any, asked: Any) -> None:
    asyncio.run(_serve(port, asked))


@contextlib.contextmanager
def stub() -> Iterator[tuple[str, Any]]:
    """The stub's address and how often it was asked."""
    context = multiprocessing.get_context("fork")
    port, asked = context.Value("i", 0), context.Value("i", 0)
    process = context.Process(target=_stub, args=(port, asked), daemon=True)
    process.start()
    while not port.value:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port.value}/v1", asked
    finally:
        process.terminate()
        process.join()


# ---------------------------------------------------------------- part one: the client


class Pictures:
    """Problems, each with a picture of its own that is made when it is looked at."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._noise = b"\x89PNG\r\n\x1a\n" + os.urandom(PICTURE - 16)

    def __iter__(self) -> Iterator[Problem]:
        for number in range(self.count):
            picture = self._noise + number.to_bytes(8)
            yield Problem(
                f"p{number}", (picture,), "<image>How long is AB?", "5", "integer", "s", f"g{number}", "train"
            )


def asked(url: str, requests: int) -> list[str]:
    """A row of the table: as many requests as a user's teacher gets, through our own client and journal."""
    endpoint = open_endpoint(sections.Endpoint(model="stub", base_url=url, concurrency=PLACES, timeout_s=300))
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Journal(Path(folder) / "replies")) as journal:
        teaching = Teaching(Asker(endpoint, journal, Bill(), 1, trajectories.fit), 1, 1.0, 0, 512)
        wall, cpu = time.perf_counter(), time.process_time()
        teaching.ask(Pictures(requests), requests)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert len(journal) == requests
    endpoint.close()
    limit, memory = PLACES / DELAY_S, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        f"{requests:,}", f"{wall:.1f}", f"{requests / wall:,.0f}", f"{requests / wall / limit:.0%}",
        f"{cpu / requests * 1000:.2f}", f"{min(1.0, requests / cpu / limit):.0%}", f"{memory:,.0f}",
    ]  # fmt: skip


# ---------------------------------------------------------------- part two: the stage


def stored(path: Path, problems: int) -> None:
    """A Parquet file of problems with noisy pictures of 200 KB."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    chance = np.random.default_rng(0)
    writer: Any = None
    for start in range(0, problems, 50):
        rows = []
        for number in range(start, min(start + 50, problems)):
            data = io.BytesIO()
            noise = chance.integers(0, 256, (258, 258, 3), dtype=np.uint8)
            Image.fromarray(noise).save(data, "PNG", compress_level=0)
            rows.append({"images": [{"bytes": data.getvalue()}], "problem": f"Find x{number}.", "answer": "5"})
        table = pa.Table.from_pylist(rows)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none")
        writer.write_table(table)
    writer.close()


def command(folder: Path, url: str, data: Path) -> list[str]:
    """The stage as a user types it."""
    sets = [
        "annotate.problems.source='parquet'", f"annotate.problems.path='{data}'", "annotate.problems.count=0",
        "annotate.trajectories=1", "annotate.min_support=1",
        *(f"endpoints.{role}.{said}" for role in ("teacher", "extractor")
          for said in ("model='stub'", f"base_url='{url}'", f"concurrency={PLACES}", "timeout_s=300")),
    ]  # fmt: skip
    words = [word for said in sets for word in ("--set", said)]
    config = str(ROOT / "configs" / "embedded.toml")
    return [
        sys.executable,
        "-m",
        "flows",
        "--store",
        str(folder),
        "annotate",
        "--config",
        config,
        *words,
        "--no-prefect",
    ]


def run(words: list[str], stop: Any = None) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and MiB of a run; `stop` says when to kill it."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BYTECODE.name)}
    environment = {**os.environ, **kept, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *(int(each) / 1024 for each in re.findall(r"VmHWM:\s+(\d+)", status)), 0.0)
        if stop and stop():
            process.send_signal(signal.SIGKILL)
        time.sleep(0.02)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(process.stderr.read() if process.stderr else "failed")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def staged(url: str, count: Any, problems: int, long: int) -> list[list[str]]:
    """Rows of the table: the stage, again, killed at half and gone on with, and over a long file."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name) / "data.parquet"
        stored(data, problems)

        def row(what: str, store: str, stop: Any = None) -> None:
            before = count.value
            wall, cpu, memory = run(command(folder / store, url, data), stop)
            rows.append([what, f"{wall:.1f}", f"{cpu:.1f}", f"{count.value - before:,}", f"{memory:,.0f}"])

        row("from the Parquet file to annotations", "one")
        row("again, with everything finished", "one")
        half = count.value + problems // 2
        row("killed when half of the teacher's requests were sent", "two", lambda: count.value >= half)
        row("gone on with", "two")
        stored(data, long)
        row(f"over {long:,} problems", "three")
    return rows


# ---------------------------------------------------------------- part three: tokens on paper


def on_paper() -> str:
    """The tokens of our prompts for the paper's problems, by words and signs."""
    teacher, extractor = tokens(trajectories.PROMPT.read_text()), tokens(extract.PROMPT.read_text())
    question, picture, thought, facts = 20, 400, 350, 120
    first = teacher + question + picture + thought
    second = (extractor + question + thought) + facts
    kept = 1442 / 2101  # the paper's own share of right trajectories
    total = PAPER_PROBLEMS * (first + kept * second)
    return (
        f"The teacher's prompt has {teacher} words and signs, the extractor's {extractor} (counted; a tokenizer makes "
        f"about as many of English). With a question of {question}, a picture of {picture} (a Geometry3K diagram at 28 "
        f"pixels a token), a chain of thought of {thought} and a list of {facts} (assumed), the paper's "
        f"{PAPER_PROBLEMS:,} problems with one trajectory each, {kept:.0%} of them kept, take "
        f"**{total / 1e6:.2f} M tokens**; the paper reports {PAPER_TOKENS / 1e6:.1f} M for its data preparation. "
        "A run counts its own: `usage` in the store.\n"
    )


def table(columns: list[str], rows: list[list[str]]) -> str:
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def main() -> None:
    """Runs all parts and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--problems", type=int, default=2_000)
    parser.add_argument("--long", type=int, default=10_000, help="problems of the run whose memory is looked at")
    options = parser.parse_args()
    with stub() as (url, count):
        load = os.getloadavg()[0]
        first = [asked(url, requests) for requests in options.requests]
        second = staged(url, count, options.problems, options.long)
    began = f"`python -m bench.annotate`: {described()}; load {load:.1f} when it began."
    limit = "The client against a stub of 200 ms and 256 places (1,280 requests/s), pictures of 200 KB"
    parts = {
        "# Annotating at the teacher's full speed": began,
        f"## {limit}": table(CLIENT, first),
        f"## The stage over {options.problems:,} problems with a picture of 200 KB each": table(STAGE, second),
        "## Tokens": on_paper(),
    }
    text = "\n\n".join(f"{head}\n\n{part.strip()}" for head, part in parts.items()) + "\n"
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
