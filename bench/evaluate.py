"""What evaluating costs beside a bare batched generate, one at a time, and a slow server; and grading alone.

OMP_NUM_THREADS=1 python -m bench.evaluate        # some minutes; writes bench/results/evaluate.md
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.machine import described
from perception_r1.benchmarks import world
from perception_r1.endpoints import open_endpoint
from perception_r1.evaluate import grade_answer
from perception_r1.evaluate.cache import Cache
from perception_r1.evaluate.engines import Sampling, Served, Transformers
from perception_r1.evaluate.generate import rendered, responses
from perception_r1.evaluate.run import answer
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.models import open_model, open_processor
from perception_r1.sections import Endpoint
from perception_r1.world.server import Fault, serving

RESULTS = Path(__file__).parent / "results" / "evaluate.md"
ITEMS, BATCH, LONGEST = 512, 64, 56
ONE_BY_ONE = 64  # of the items: the rest takes as long
SLOW_S, AT_ONCE, ASKED = 0.2, 16, 640
GRADED = 100_000
ROUNDS = 3

Row = tuple[str, str, str, str]


def main() -> None:
    """Measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="A tiny model's folder; without it one is warmed up.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        memory = _memory(Path(folder))  # before a model takes more than all items would
        model = options.model or _warm(Path(folder) / "model")
        rows = [*_generated(model, Path(folder)), *_served(Path(folder)), *_graded(), memory]
    head = "| what | measured | target | |\n|---|---|---|---|"
    text = (
        f"# Evaluation\n\n`python -m bench.evaluate`: {described()}. The machine was busy: ratios are of CPU seconds "
        f"where both sides compute, the best of {ROUNDS} rounds, turn by turn.\n\n{head}\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in rows)
        + "\n"
    )
    RESULTS.write_text(text)
    print(text)


def _warm(folder: Path) -> Path:
    from perception_r1.world.tiny_vlm import save
    from perception_r1.world.warm_start import STEPS, warm_started

    save(*warm_started(0, STEPS), folder)
    return folder


def _generated(weights: Path, folder: Path) -> Iterator[Row]:
    """Ours beside the bare loop over the same batches, and beside one item at a time."""
    model, processor = open_model(weights).eval(), open_processor(weights)
    items = list(world.items(ITEMS, 0))

    def bare(count: int = ITEMS, batch: int = BATCH) -> None:
        for start in range(0, count, batch):
            asked = [item.problem for item in items[start : start + batch]]
            prompts = [rendered(processor, problem) for problem in asked]
            responses(model, processor, prompts, [problem.images[0] for problem in asked], LONGEST)

    def ours(number: Iterator[int]) -> None:
        place = folder / f"run{next(number)}"
        cache = Cache(place / "responses.sqlite")
        engine = Transformers(model, processor, "tiny", Sampling(LONGEST), BATCH, "none", cache)
        answer(_spec(place), world, engine)
        cache.close()

    numbers = iter(range(1000))
    bare_s, ours_s, single_s = _best(bare, lambda: ours(numbers), lambda: bare(ONE_BY_ONE, 1))
    single_s *= ITEMS / ONE_BY_ONE
    ratio, speed = ours_s / bare_s, single_s / ours_s
    yield (
        f"{ITEMS} items greedy, by bare batched generate",
        f"{ours_s / bare_s:.2f} × ({ours_s:.1f} / {bare_s:.1f} CPU s)",
        "≤ 1.15 ×",
        _met(ratio <= 1.15),
    )
    yield "the same, beside one at a time", f"{speed:.1f} × as fast ({single_s:.1f} CPU s)", "≥ 2 ×", _met(speed >= 2)


def _spec(folder: Path, items: int = ITEMS, **rest: Any) -> EvalSpec:
    settings = {"weights": None, "model": "base", "seed": 0, "benchmark": "world", "batch": BATCH, "max_tokens": 256}
    return EvalSpec(folder=folder, items=items, items_seed=0, **{**settings, **rest})  # type: ignore[arg-type]


def _best(*sides: Callable[[], None]) -> list[float]:
    """The fewest CPU seconds of each side, which take turns."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(ROUNDS):
        for side, times in zip(sides, seconds, strict=True):
            started = time.process_time()
            side()
            times.append(time.process_time() - started)
    return [min(times) for times in seconds]


def _served(folder: Path) -> Iterator[Row]:
    """Against a server that takes 200 ms for each answer: the limit is how many it is asked at once."""
    with serving(faults=cycle([Fault(delay_s=SLOW_S)])) as server:
        shares = []
        for number in range(ROUNDS):
            settings = Endpoint(model="embedded/teacher", base_url=server.url, concurrency=AT_ONCE)
            engine = Served(open_endpoint(settings), "teacher", Sampling(256), "none", Cache(None))
            started = time.perf_counter()
            answer(_spec(folder / f"served{number}", ASKED), world, engine)
            shares.append(ASKED / AT_ONCE * SLOW_S / (time.perf_counter() - started))
            engine.close()
    share = max(shares)
    name = f"{ASKED} items, a server of {1000 * SLOW_S:.0f} ms, {AT_ONCE} at once, wall time"
    yield name, f"{100 * share:.0f} % of its limit", "≥ 80 %", _met(share >= 0.8)


def _graded() -> Iterator[Row]:
    """Distinct responses of every sort, so that no cache of readings helps."""
    started = time.process_time()
    right = sum(grade_answer(response, gold).correct for response, gold in _responses(GRADED))
    took = time.process_time() - started
    yield (
        f"{GRADED:,} distinct responses graded, one core ({100 * right / GRADED:.0f} % right)",
        f"{took:.1f} CPU s",
        "≤ 60 s",
        _met(took <= 60),
    )


def _responses(count: int) -> Iterator[tuple[str, str]]:
    thought = "<think>" + "We look at the figure and see that the sides are equal. " * 12 + "</think>\n"
    kinds = (
        lambda n: (f"<answer>\\boxed{{{n}}}</answer>", str(n)),
        lambda n: (f"<answer>\\boxed{{\\frac{{{n}}}{{{n + 7}}}}}</answer>", rf"\frac {{ {n} }} {{ {n + 7} }}"),
        lambda n: (f"The answer is {n / 100:.2f} cm.", f"{n / 100:.2f}"),
        lambda n: (f"\\boxed{{{n % 89 + 2}\\sqrt{{{n + 3}}}}}", rf"{n % 89 + 2} \sqrt {{ {n + 3} }}"),
        lambda n: (f"({'ABCD'[n % 4]}) because of line {n}", "ABCD"[n % 3]),
        lambda n: (f"I am not sure about {n}.", str(n)),
    )
    for n in range(count):
        said, gold = kinds[n % len(kinds)](n + 1)
        yield thought + said, gold


def _memory(folder: Path) -> Row:
    """What ten times the items add to the memory, with pictures of a real size."""
    import io
    import os

    from PIL import Image

    from perception_r1.evaluate.cache import Response

    class Echo:
        def respond(self, stream: Any) -> Any:
            yield from ((asked, Response("\\boxed{A}", 3, False)) for asked in stream)

        def close(self) -> None: ...

    class Large:
        DATA = None
        read, grade, metrics = staticmethod(world.read), staticmethod(world.grade), staticmethod(world.metrics)

        @staticmethod
        def items(limit: int, seed: int, data: Any = None) -> Any:
            one = next(world.items(1, 0))
            for number in range(limit):
                data = io.BytesIO()
                Image.frombytes("RGB", (128, 128), os.urandom(128 * 128 * 3)).save(data, "PNG")
                problem = replace(one.problem, id=str(number), group=str(number), images=(data.getvalue(),))
                yield replace(one, problem=problem)

    peaks = []
    for count in (1024, 8192):
        answer(_spec(folder / f"memory{count}", count, conditions=("full", "shuffled")), Large, Echo())  # type: ignore[arg-type]
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    more = peaks[1] - peaks[0]
    return (
        "peak memory, 8,192 items of 50 kB beside 1,024",
        f"+{more:.0f} MiB of {peaks[1]:.0f}",
        "flat",
        _met(more < 60),
    )


def _met(held: bool) -> str:
    return "met" if held else "**missed**"


if __name__ == "__main__":
    main()
