"""A storm over the judge: every sort of fault on the wire, a restart in the middle, and a clock that jumps.

    python -m bench.faults 10000        # writes bench/results/faults.md

The server is the embedded one, over real HTTP, with faults on order. What is counted: requests that went through,
verdicts that are not what the judge says without faults (there must be none), and unknown verdicts by their reason.
"""

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.machine import described
from perception_r1.judges import Case, Judge, open_judge
from perception_r1.records import Judgement
from perception_r1.sections import Endpoint, Judging
from perception_r1.world.embedded import EmbeddedEndpoint
from perception_r1.world.server import Fault, serving

FACTS = (("a", "Bar A is 7."), ("b", "Bar B is 5."))
PAST = "Wed, 21 Oct 2015 07:28:00 GMT"
KINDS: dict[str, Fault] = {
    "500": Fault(status=500),
    "503, wait 0 s": Fault(status=503, retry_after="0"),
    "429, wait 0 s": Fault(status=429, retry_after="0"),
    "429, wait until 2015": Fault(status=429, retry_after=PAST),
    "400": Fault(status=400),
    "hangs": Fault(delay_s=2.5),
    "hangs up": Fault(hang_up=True),
    "reset": Fault(reset=True),
    "half a reply": Fault(half=True),
    "drips": Fault(drip_s=0.3),
    "cut off": Fault(truncated=True),
    "HTML": Fault(body="<html><body>502 Bad Gateway</body></html>"),
    "other JSON": Fault(body='{"detail": "ok"}'),
    "no choices": Fault(body='{"choices": []}'),
    "half JSON": Fault(body='{"choices": [{"message": {"content": "{\\"verdicts'),
    "verdicts for nobody": Fault(
        body='{"choices": [{"finish_reason": "stop", "message": {"content": '
        '"{\\"verdicts\\": [{\\"id\\": \\"k1\\", \\"verdict\\": \\"supported\\"}]}"}}]}'
    ),
}
TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of it."""

    cases: int
    requests: int  # that reached the server
    wrong: int  # verdicts that are neither unknown nor what the judge says
    unknown: Counter[str]  # by reason
    known: int
    took_s: float
    cpu_s: float


def storm(cases: int, share: float = 0.3, restart: bool = True, seed: int = 0) -> Storm:
    """Judges so many responses while this share of the requests meets a fault."""
    asked = [Case(f"<think>Look {n}: we find bar A at {n % 10}.</think>", FACTS) for n in range(cases)]
    truth = Judge(EmbeddedEndpoint("embedded/judge"), matcher=False).judge(asked)
    started, cpu = time.perf_counter(), time.process_time()
    with serving(faults=_faults(share, seed)) as server:
        judge = open_judge(_settings(server.url), Judging(matcher=False))
        gone = threading.Event()
        told: list[list[tuple[Judgement, ...]]] = []
        judging = threading.Thread(target=lambda: told.append(judge.judge(asked, _after(cases // 2, gone))))
        judging.start()
        while restart and judging.is_alive() and not gone.wait(0.05):
            pass
        if not restart:
            judging.join()
        before, port = server.requests, server.server_address[1]
    with serving(port=port, faults=_faults(share, seed + 1)) as server:  # the same address, a moment later
        judging.join()
        judge.close()
        requests = before + server.requests
    return _counted(asked, truth, told[0], requests, started, cpu)


def _settings(url: str) -> Endpoint:
    return Endpoint(
        model="embedded/judge", base_url=url, concurrency=48, timeout_s=TIMEOUT_S, retries=2, patience_s=60.0
    )


def _after(done: int, event: threading.Event) -> Callable[[int, int], None]:
    return lambda now, total: event.set() if now >= done else None


def _faults(share: float, seed: int) -> Iterator[Fault | None]:
    chance = random.Random(seed)
    kinds = list(KINDS.values())
    rare = (KINDS["hangs"], KINDS["drips"])  # they take a place for a second
    while True:
        fault = chance.choice(kinds) if chance.random() < share else None
        yield None if fault in rare and chance.random() < 0.8 else fault


def _counted(
    asked: list[Case],
    truth: list[tuple[Judgement, ...]],
    told: list[tuple[Judgement, ...]],
    requests: int,
    started: float,
    cpu: float,
) -> Storm:
    pairs = [(one, two) for ones, twos in zip(truth, told, strict=True) for one, two in zip(ones, twos, strict=True)]
    unknown = Counter(two.decided_by.partition(":")[0] for _, two in pairs if two.verdict == "unknown")
    wrong = sum(two.verdict not in ("unknown", one.verdict) for one, two in pairs)
    known = sum(two.verdict != "unknown" for _, two in pairs)
    took = time.perf_counter() - started, time.process_time() - cpu
    return Storm(len(asked), requests, wrong, unknown, known, *took)


def main() -> None:
    """Runs it and writes the page."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found = storm(cases)
    rows = "\n".join(f"| unknown: {reason} | {count:,} |" for reason, count in found.unknown.most_common())
    page = f"""# A storm over the judge

`python -m bench.faults {cases}`: three of ten requests meet one of {len(KINDS)} faults, the server is restarted in the
middle, and every request has two retries. The faults: {"; ".join(KINDS)}.

| | |
|---|---|
| responses judged | {found.cases:,} |
| requests that reached the server | {found.requests:,} |
| verdicts given | {found.known:,} |
| **wrong verdicts** | **{found.wrong}** |
{rows}
| verdicts wanted, given and unknown together | {2 * found.cases:,} = {found.known + found.unknown.total():,} |
| seconds, of them CPU (client and server in one process) | {found.took_s:.0f}, {found.cpu_s:.0f} |

{described()}
"""
    Path(__file__).with_name("results").joinpath("faults.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
