"""Is the response longer than it should be? DAPO's soft punishment (arXiv 2503.14476, equation 13)."""

from perception_r1.records import Completion

BUFFER = 0.2  # of the token limit; the paper's 4,096 of 20,480


def overlong_reward(completion: Completion) -> float:
    """0 until the last fifth of the token limit, then falling evenly to -1 at the limit."""
    if not completion.longest:
        return 0.0
    free = completion.longest * (1 - BUFFER)
    return 0.0 - min(1.0, max(0.0, (completion.tokens - free) / (completion.longest * BUFFER)))
