"""Whether a number follows from others by what people do with the numbers of a picture: no language, no words.

50, 60 → 70      the angles of a triangle            12, 5 → 13      a right triangle
35 → 145         on a line                           14, 6 → 20      a sum
"""

import math
from collections.abc import Collection, Iterator
from itertools import combinations

WHOLES = (90.0, 180.0, 360.0, 100.0)  # of angles, and of percentages
MOST = 40  # numbers that are combined: a text with more has made tables of them
CLOSE = 0.006  # results are rounded to two decimals


def follows(number: float, known: Collection[float]) -> bool:
    """Whether one or two of the known numbers, or all of them together, come to it."""
    numbers = sorted(one for one in known if one)[:MOST]
    return any(abs(result - number) <= CLOSE * max(1.0, abs(number) / 10) for result in _results(numbers))


def _results(numbers: list[float]) -> Iterator[float]:
    if len(numbers) > 1:
        yield sum(numbers)
        yield sum(numbers) / len(numbers)
        yield from (whole - sum(numbers) for whole in WHOLES)
    for one in numbers:
        yield from (2 * one, one / 2, one * one, math.sqrt(abs(one)))
        yield from (whole - one for whole in WHOLES)
    for one, other in combinations(numbers, 2):
        yield from (one + other, abs(one - other), one * other, one * other / 2, 2 * (one + other))
        yield from (one / other, other / one, math.hypot(one, other), math.sqrt(abs(one * one - other * other)))
        yield from (whole - one - other for whole in WHOLES)
