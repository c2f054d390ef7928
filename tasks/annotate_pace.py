"""How fast the models are asked, what it has cost, and how long it will take."""

import sys
import time

from perception_r1.annotate.asking import Bill
from tasks.pages import Watch
from tasks.progress import say

TOLD_EVERY_S = 30.0


def pace(watch: Watch, bill: Bill) -> Watch:
    """The callback with the rate and the cost; where nobody watches a bar, a line now and then, with the time left."""
    started_s = told_s = time.monotonic()
    first = -1

    def show(done: int, total: int) -> None:
        nonlocal told_s, first
        now_s = time.monotonic()
        first = done - 1 if first < 0 else first
        rate = (done - first) / max(now_s - started_s, 1e-6)
        says = f"{rate:,.1f}/s, {bill.tokens:,} tokens, {bill.usd:,.2f} USD"
        watch(done, total, says)
        if now_s - told_s > TOLD_EVERY_S and not sys.stderr.isatty():
            told_s = now_s
            left = f"{(total - done) / rate:,.0f} s left"
            say(f"  {done:,} of {total:,}: {says}, {left}")

    return show
