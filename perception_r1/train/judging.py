"""The judge at work beside the trainer: asked as soon as completions are there, waited for when their reward is due.

A judge that is down is waited for, with pauses that double, until `train.judge_patience_s` have passed since the step
asked it; what its endpoint waits by itself counts.
"""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from perception_r1.judges import Case, Judge
from perception_r1.records import Judgement
from perception_r1.sections import Endpoint, Train

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
HICCUP_S = 10.0  # for the retries of one request, however little is waited for a judge that is down
DOWN = {"unreachable", "timedout", "ratelimited", "serverfailed", "theendpointgavenoreply"}  # it may be up again soon

Judged = list[tuple[Judgement, ...]]


@dataclass(frozen=True, slots=True)
class Bill:
    """What judging took: seconds of the judge's, and seconds of those for which the trainer waited."""

    judged_s: float
    waited_s: float


class Judging:
    """A judge in a thread of its own, one list of cases after the other."""

    def __init__(self, judge: Judge, train: Train) -> None:
        self.judge = judge
        self._train = train
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._pending: Future[tuple[Judged, float]] | None = None
        self.bill = Bill(0.0, 0.0)

    def begin(self, cases: Sequence[Case]) -> None:
        """Asks; the caller goes on meanwhile."""
        self._pending = self._pool.submit(self._timed, cases)

    def end(self) -> Judged:
        """The judgements that were asked for; waits until they are there."""
        assert self._pending is not None, "begin() comes first"
        started = time.perf_counter()
        judged, judged_s = self._pending.result()
        self._pending = None
        self.bill = Bill(self.bill.judged_s + judged_s, self.bill.waited_s + time.perf_counter() - started)
        return judged

    def settle(self) -> Bill:
        """What was taken since this was asked last."""
        bill, self.bill = self.bill, Bill(0.0, 0.0)
        return bill

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _timed(self, cases: Sequence[Case]) -> tuple[Judged, float]:
        started = time.perf_counter()
        return self._insisted(cases), time.perf_counter() - started

    def _insisted(self, cases: Sequence[Case]) -> Judged:
        """The judgements; a judge that is down is asked again until its time is up."""
        ends = time.monotonic() + self._train.judge_patience_s
        judged, pause = self.judge.judge(cases), FIRST_PAUSE_S
        while (reason := refusal(judged, self._train.max_unknown)) and _is_down(judged):
            if time.monotonic() + pause > ends:
                break
            print(f"the judge is down, asking again in {pause:g} s: {reason}", flush=True)
            time.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)
            again = [number for number, judgements in enumerate(judged) if _failed(judgements)]
            for number, judgements in zip(again, self.judge.judge([cases[n] for n in again]), strict=True):
                judged[number] = judgements
        return judged


def patient(endpoint: Endpoint, train: Train) -> Endpoint:
    """The judge's endpoint as training asks it: a request is waited for no longer than the step, but for a hiccup."""
    return replace(endpoint, patience_s=min(endpoint.patience_s, max(train.judge_patience_s, HICCUP_S)))


def refusal(judged: Sequence[Sequence[Judgement]], limit: float) -> str:
    """Why a run must not go on with these judgements; empty if it may."""
    all_of_them = [judgement for judgements in judged for judgement in judgements]
    failed = Counter(judgement.decided_by for judgement in all_of_them if judgement.verdict == "unknown")
    share = failed.total() / max(len(all_of_them), 1)
    if share <= limit:
        return ""
    reasons = ", ".join(f"{count} x {reason}" for reason, count in failed.most_common(3))
    return (
        f"the judge failed on {share:.0%} of this step's {len(all_of_them)} verdicts (train.max_unknown is "
        f"{limit:.0%}): {reasons}"
    )


def _failed(judgements: Sequence[Judgement]) -> list[Judgement]:
    return [judgement for judgement in judgements if judgement.verdict == "unknown"]


def _is_down(judged: Sequence[Sequence[Judgement]]) -> bool:
    """Whether most failures are of a sort that passes."""
    kinds = [
        judgement.decided_by.partition(":")[0].replace(" ", "").lower()
        for judgements in judged
        for judgement in _failed(judgements)
    ]
    return 2 * sum(kind in DOWN for kind in kinds) > len(kinds)
