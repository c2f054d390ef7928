"""The judge's client beside the naive pattern on one stub server, what is saved before a token is spent, warm caches.

    perception-r1 train --set train.steps=2 --set train.prompts_per_step=128      # rollouts to count tokens on
    python -m bench.judge --store .perception-r1      # writes bench/results/judge.md, about a minute and a half

The stub answers every request after 200 ms, at most 256 at once, in a process of its own: 1,280 requests a second is
its limit. Both sides judge 2 x 1,024 responses of 8 annotations, one request a response. The naive side is what the
paper's repository does: a module-level AsyncOpenAI, asyncio.run for each batch, a semaphore of 512.
"""

import argparse
import asyncio
import base64
import gc
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import storage
from bench.machine import described
from bench.stub import DELAY_S, LIMIT, PLACES, bare, stub
from perception_r1.endpoints import Reply, Request, image_part, open_endpoint, text_part
from perception_r1.errors import EndpointError
from perception_r1.judges import Case, Judge, VerdictCache
from perception_r1.judges.prompt import rendered
from perception_r1.sections import Endpoint
from perception_r1.wire.protocol import encoded
from perception_r1.world.embedded import EmbeddedEndpoint

BATCHES, RESPONSES, ANNOTATIONS = 2, 1024, 8
ROUNDS = 5  # of what is quick, turn by turn; the best of each counts, on machines that others use too
RESULTS = Path(__file__).with_name("results") / "judge.md"
FILLER = "Now we consider the figure once more and write down what follows from the given lengths. "


@dataclass(frozen=True, slots=True)
class Run:
    """One side: what it took, and how many of its requests came to nothing."""

    name: str
    requests: int
    lost: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Replies a second."""
        return (self.requests - self.lost) / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """Of CPU for each request, of this process: the client's."""
        return 1000 * self.cpu_s / self.requests


def cases(batch: int) -> list[Case]:
    """Responses of some 1.5 kB with annotations that the matcher must leave to the model."""
    facts = tuple((f"a{n}", f"The segment with the mark {n} is longer than its neighbour.") for n in range(ANNOTATIONS))
    return [Case(f"<think>Batch {batch}, response {n}. {FILLER * 16}</think>", facts) for n in range(RESPONSES)]


def timed(name: str, requests: int, work: Callable[[], int]) -> Run:
    """The work measured; it returns how much was lost."""
    gc.collect()  # what was made before is not its garbage
    wall, cpu = time.perf_counter(), time.process_time()
    lost = work()
    return Run(name, requests, lost, time.perf_counter() - wall, time.process_time() - cpu)


def most(url: str) -> Run:
    """What the stub gives beside a client that does nothing but send the same bytes again."""
    body = encoded("m", _request(cases(0)[0]))

    def work() -> int:
        for _ in range(BATCHES):
            bare(url, body, RESPONSES)
        return 0

    return timed("bare: the same bytes again", BATCHES * RESPONSES, work)


def ours(url: str) -> Run:
    """Our judge, one request a response."""
    settings = Endpoint(model="m", base_url=url, concurrency=PLACES)
    judge = Judge(open_endpoint(settings))

    def work() -> int:
        told = [judgements for batch in range(BATCHES) for judgements in judge.judge(cases(batch))]
        return sum(any(said.verdict == "unknown" for said in judgements) for judgements in told)

    found = timed("ours", BATCHES * RESPONSES, work)
    judge.close()
    return found


def naive(url: str, retries: int = 2) -> Run:
    """The paper's pattern: one client for all loops, a loop for each batch."""
    import openai

    client = openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=retries)

    async def batch(requests: list[Request]) -> list[Any]:
        places = asyncio.Semaphore(512)

        async def one(request: Request) -> Any:
            async with places:
                return await client.chat.completions.create(model="m", messages=list(request.messages), max_tokens=512)  # type: ignore[arg-type]

        return await asyncio.gather(*map(one, requests), return_exceptions=True)

    def work() -> int:
        told: list[Any] = []
        for number in range(BATCHES):
            told += asyncio.run(batch([_request(case) for case in cases(number)]))
        return sum(isinstance(reply, Exception) for reply in told)

    return timed("naive", BATCHES * RESPONSES, work)


def _request(case: Case) -> Request:
    return rendered([text for _, text in case.annotations], case.response, 0, 512)[0]


def pictures(url: str) -> Run:
    """The wire alone with a picture of 96 kB in each request: teachers and extractors."""
    parts = [image_part(b"\x89PNG" + os.urandom(96 * 1024)), text_part("What is the length? exactly these ids: k1")]
    requests = (Request(({"role": "user", "content": [*parts, text_part(str(n))]},)) for n in range(RESPONSES))
    endpoint = open_endpoint(Endpoint(model="m", base_url=url, concurrency=PLACES))
    return timed("ours, with pictures", RESPONSES, lambda: _lost(endpoint.ask(requests)))


def _lost(replies: Iterable[tuple[int, Reply | EndpointError]]) -> int:
    return sum(not isinstance(reply, Reply) for _, reply in replies)


def naive_pictures(url: str) -> Run:
    """openai's own transport with the same pictures, on one loop with as many places."""
    import openai

    picture = base64.b64encode(b"\x89PNG" + os.urandom(96 * 1024)).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}

    async def all_of_them() -> int:
        places, client = asyncio.Semaphore(PLACES), openai.AsyncOpenAI(api_key="none", base_url=url)

        async def one(number: int) -> Any:
            text = {"type": "text", "text": f"{number} exactly these ids: k1"}
            async with places:
                messages: Any = [{"role": "user", "content": [part, text]}]
                return await client.chat.completions.create(model="m", messages=messages)

        told = await asyncio.gather(*map(one, range(RESPONSES)), return_exceptions=True)
        await client.close()
        return sum(isinstance(reply, BaseException) for reply in told)

    return timed("openai's transport, with pictures", RESPONSES, lambda: asyncio.run(all_of_them()))


class Counting:
    """The embedded judge, with a bill."""

    def __init__(self) -> None:
        self._endpoint = EmbeddedEndpoint("embedded/judge")
        self.tokens = self.requests = 0
        self.model = self._endpoint.model

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | EndpointError]]:
        """The replies, with what they cost counted."""
        for number, reply in self._endpoint.ask(requests):
            self.requests += 1
            self.tokens += reply.prompt_tokens + reply.completion_tokens
            yield number, reply

    def close(self) -> None:
        """Nothing is open."""


def rollouts(store: Path) -> list[list[Case]]:
    """The completions of each step of the newest training run in a store, on the annotations of their problems."""
    found = storage.sql(
        "SELECT step, problem, text, truncated FROM rollouts WHERE _version = "
        '(SELECT max(_version) FROM rollouts) ORDER BY step, "group", sample',
        storage.open_store(store),
    ).fetchall()
    facts: dict[str, list[tuple[str, str]]] = {}
    for id, problem, text in storage.sql(
        "SELECT id, problem, text FROM annotations WHERE dropped = ''", storage.open_store(store)
    ).fetchall():
        facts.setdefault(problem, []).append((id, text))
    steps: dict[int, list[Case]] = {}
    for step, problem, text, truncated in found:
        steps.setdefault(step, []).append(Case(text, tuple((i, forced(t)) for i, t in facts[problem]), truncated))
    return list(steps.values())


def forced(fact: str) -> str:
    """The fact; where its name is one of two in five, in words that the matcher must leave to the model."""
    name, height = fact.removeprefix("Bar ").rstrip(".").split(" is ")
    return f"The one that is labelled bar {name} comes up to {height}." if _is_forced(name, height) else fact


def _is_forced(name: str, height: str) -> bool:
    return hashlib.sha256(f"{name} {height}".encode()).digest()[0] < FORCED * 256


FORCED = 0.4  # of the sorts of facts


@dataclass(frozen=True, slots=True)
class Bill:
    """What one way to judge two steps of rollouts came to."""

    name: str
    requests: int
    tokens: int


def bills(steps: list[list[Case]]) -> list[Bill]:
    """A full listing for each completion, then with each saving on top of those before it."""
    listing = [_bill("a full listing for each completion", [[case] for step in steps for case in step], matcher=False)]
    once = _bill("+ each equal pair of a step once", steps, matcher=False)
    matched = _bill("+ the matcher", steps, matcher=True)
    with tempfile.TemporaryDirectory() as folder:
        cached = _bill("+ what earlier steps judged", steps, matcher=True, cache=Path(folder) / "verdicts.db")
    return [*listing, once, matched, cached]


def _bill(name: str, calls: list[list[Case]], matcher: bool, cache: Path | None = None) -> Bill:
    judge = Judge(EmbeddedEndpoint("embedded/judge"), matcher=matcher, cache=VerdictCache(cache) if cache else None)
    for call in calls:
        judge.judge(call)
    found = judge.tally.counts().requests
    return Bill(name, found.requests, found.prompt_tokens + found.completion_tokens)


def warm() -> tuple[tuple[float, float], tuple[float, float]]:
    """Milliseconds and those of CPU for 1,024 responses of 8 annotations that another judge judged, and once more."""
    asked = cases(0)
    with tempfile.TemporaryDirectory() as folder:
        first = Judge(_Absent(), cache=VerdictCache(Path(folder) / "verdicts.db"))
        first.judge(asked)
        first.close()
        again = Judge(_Absent(), cache=VerdictCache(Path(folder) / "verdicts.db"))
        return _least_ms(lambda: again.judge(asked), 1), _least_ms(lambda: again.judge(asked), 5)


class _Absent:
    """A model in process that says absent of everything."""

    model = "absent"

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | EndpointError]]:
        """The replies."""
        for number, request in enumerate(requests):
            ids = str(request.messages[-1]["content"]).rpartition("exactly these ids: ")[2].split(", ")
            verdicts = [{"id": id, "verdict": "absent", "evidence": ""} for id in ids]
            yield number, Reply(json.dumps({"verdicts": verdicts}), 1, 1, 0.0)

    def close(self) -> None:
        """Nothing is open."""


def _least_ms(work: Callable[[], object], times: int) -> tuple[float, float]:
    """The least of several runs, wall and CPU."""
    runs = [timed("", 1, lambda: int(work() is None)) for _ in range(times)]
    return 1000 * min(run.wall_s for run in runs), 1000 * min(run.cpu_s for run in runs)


def main() -> None:
    """Runs all of it and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="a store with rollouts, for the tokens that are saved")
    options = parser.parse_args()
    with stub() as url:
        rounds = [[most(url), ours(url), pictures(url)] for _ in range(ROUNDS)]
        best = [min(runs, key=lambda run: run.wall_s) for runs in zip(*rounds, strict=True)]
        sides = [*best[:2], naive(url), best[2], naive_pictures(url)]
    saved = bills(rollouts(options.store)) if options.store else []
    page = _page(sides, saved, warm())
    RESULTS.write_text(page)
    print(page)


def _page(sides: list[Run], saved: list[Bill], warm_ms: tuple[tuple[float, float], tuple[float, float]]) -> str:
    client = "\n".join(
        f"| {run.name} | {run.requests:,} | {run.lost:,} | {run.wall_s:.1f} | {run.rate:,.0f} | {run.rate / LIMIT:.0%} "
        f"| {run.cpu_ms:.2f} |"
        for run in sides
    )
    tokens = "\n".join(
        f"| {bill.name} | {bill.requests:,} | {bill.tokens:,} | {saved[0].tokens / max(1, bill.tokens):.1f} x |"
        for bill in saved
    )
    most, ours, naive = sides[:3]
    return f"""# The judge's client

`python -m bench.judge --store STORE`: {described()}; load average {os.getloadavg()[0]:.1f}.

## The same stub, the same 2 x 1,024 responses of 8 annotations

The stub answers after {DELAY_S:g} s, {PLACES} at once: {LIMIT:,.0f} requests a second is its limit. CPU is the client
process's, prompts and verdicts included. Client and stub share {os.cpu_count()} cores with all else that runs here: but
for the naive sides, the best of {ROUNDS} rounds.

| client | requests | lost | wall, s | replies/s | of the limit | CPU, ms a request |
|---|---|---|---|---|---|---|
{client}

Ours: {ours.rate / most.rate:.0%} of what the stub gives the bare client here;
{naive.wall_s / ours.wall_s:.1f} x less time than the naive pattern
and {naive.cpu_s / ours.cpu_s:.0f} x less CPU; {ours.lost} lost where that one loses {naive.lost}.

{_savings(tokens)}## What was judged before

1,024 responses of 8 annotations, milliseconds (of CPU): {warm_ms[0][0]:.1f} ({warm_ms[0][1]:.1f}) where another judge
wrote the cache's file, {warm_ms[1][0]:.1f} ({warm_ms[1][1]:.1f}) when the same one is asked again.
"""


def _savings(rows: str) -> str:
    if not rows:
        return ""
    return f"""## Tokens of a training step's rollouts

Two steps of the embedded world's own policy, 128 prompts x 8 completions each; two in five of the sorts of facts are
worded so that the matcher must leave them to the model.

| | requests | tokens | saving |
|---|---|---|---|
{rows}

"""


if __name__ == "__main__":
    main()
