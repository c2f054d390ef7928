"""What annotating took, and what it would take for the paper's 2,101 problems."""

from collections.abc import Sequence
from dataclasses import dataclass

from perception_r1.annotate.asking import Bill

PAPER_PROBLEMS = 2_101  # Geometry3K's train split
PAPER_TOKENS = 1_100_000  # data preparation, all in all: the paper's table of costs


@dataclass(frozen=True, slots=True)
class Usage:
    """What one model was asked and what it took; replies that were no good are in it."""

    role: str
    model: str
    requests: int
    failures: int
    prompt_tokens: int
    completion_tokens: int
    usd: float

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.prompt_tokens + self.completion_tokens


def usage(role: str, model: str, bill: Bill) -> Usage:
    """What is on a bill."""
    return Usage(role, model, bill.requests, bill.failures, bill.prompt_tokens, bill.completion_tokens, bill.usd)


def beside_the_paper(used: Sequence[Usage], problems: int) -> str:
    """Our tokens for as many problems as the paper had, beside its own."""
    if not problems or not any(one.requests for one in used):
        return "No model was asked: the annotations cost nothing. The paper's took 1.1 M tokens."
    ours = sum(one.tokens for one in used) / problems * PAPER_PROBLEMS
    usd = sum(one.usd for one in used) / problems * PAPER_PROBLEMS
    price = f" ({usd:,.2f} USD)" if usd else ""
    return (
        f"At this rate the paper's {PAPER_PROBLEMS:,} problems take {ours / 1e6:.2f} M tokens{price}; "
        f"the paper's own preparation took {PAPER_TOKENS / 1e6:.1f} M."
    )
