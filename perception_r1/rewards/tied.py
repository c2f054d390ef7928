"""Groups that the judge alone decides: without its verdicts all their completions would have earned the same.

An advantage is a reward's distance from its group's mean in units of the group's spread. In a group that is tied but
for one verdict, that verdict moves an advantage by 2.47 (eight completions): the judge's noise, at full strength.
"""

from collections.abc import Sequence

SAME = 1e-9


def decided_by_judge(rewards_G: Sequence[float], without_G: Sequence[float]) -> bool:  # noqa: N803
    """Whether a group's rewards differ, and would not if the judge's verdicts were left out."""
    return differ(rewards_G) and not differ(without_G)


def capped(
    advantages_N: Sequence[float],  # noqa: N803
    alone: Sequence[bool],
    generations: int,
    greatest: float,
    share: float,
) -> list[float]:
    """The advantages of all groups, held to the greatest in those that the judge decides alone.

    Of these, no more than the share of all groups keep any: the ones whose advantages are smallest go first, by place
    where they are equal. A greatest of 0 is no limit.
    """
    groups = [list(advantages_N[start : start + generations]) for start in range(0, len(advantages_N), generations)]
    tied = sorted((number for number, is_alone in enumerate(alone) if is_alone), key=lambda n: _top(groups[n]))
    spared = set(tied[: max(0, len(tied) - int(share * len(groups) + SAME))])
    for number in tied:
        top = _top(groups[number])
        scale = 0.0 if number in spared else min(1.0, greatest / top) if greatest and top else 1.0
        groups[number] = [advantage * scale for advantage in groups[number]]
    return [advantage for group in groups for advantage in group]


def _top(group: Sequence[float]) -> float:
    return max(abs(advantage) for advantage in group)


def differ(rewards: Sequence[float]) -> bool:
    """Whether they differ by more than rounding."""
    return max(rewards) - min(rewards) > SAME
