"""The weight of the KL term as a pure function of the step: a resumed run needs no state of it.

GRPO-D (OThink-MR1, arXiv 2503.16081) starts in the middle of its range, falls to the lower end at 0.3 of the steps
and rises to the upper end at the last. The paper's prose says that it starts small; its formula, which is followed
here, does not.
"""

from perception_r1.sections import Kl

FLOOR = 1e-8  # at exactly 0 TRL computes no reference, and the next step that wants one ends with a KeyError
EXPLORATION = 0.3  # of the steps; the paper's w / t


def kl_at(step: int, steps: int, kl: Kl) -> float:
    """The weight at a step of so many; never below the floor."""
    weight = _grpo_d(step / steps, kl) if kl.schedule == "grpo_d" else kl.low + (kl.high - kl.low) * step / steps
    return max(FLOOR, weight)


def _grpo_d(part: float, kl: Kl) -> float:
    middle = (kl.low + kl.high) / 2
    if part <= EXPLORATION:
        return middle - (middle - kl.low) * part / EXPLORATION
    return kl.low + (kl.high - kl.low) * (part - EXPLORATION) / (1 - EXPLORATION)
