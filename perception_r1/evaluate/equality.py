"""When two readings are the same answer: exactly, unless the gold is a rounded decimal."""

from collections.abc import Iterator
from fractions import Fraction

from perception_r1.evaluate.exact import Exact, rational
from perception_r1.evaluate.reading import Reading


def equal(gold: Reading | None, said: Reading | None) -> bool:
    """The same numbers in the same order, in brackets and units that do not contradict."""
    if gold is None or said is None or not _fit(gold, said):
        return False
    first, second = (_counted(r) if r.brackets == "{}" else r.parts for r in (gold, said))
    return len(first) == len(second) and all(_same(a, b, gold, said) for a, b in zip(first, second, strict=True))


def close(gold: Reading, said: Reading, places: int) -> bool:
    """One number that is the gold one when both are rounded to so many decimal places; a half may go either way."""
    unit = Fraction(10) ** -places
    return any(abs(value - round(wanted / unit) * unit) * 2 <= unit for wanted, value in _approximate(gold, said))


def within(gold: Reading, said: Reading, tolerance: Fraction) -> bool:
    """One number that is no further from the gold one than the tolerance."""
    return any(abs(value - wanted) <= tolerance for wanted, value in _approximate(gold, said))


def _approximate(gold: Reading, said: Reading) -> Iterator[tuple[Fraction, Fraction]]:
    """The two numbers, once for each thing that a percent sign may mean; nothing where they are no single numbers."""
    if len(gold.parts) != 1 or len(said.parts) != 1 or not _fit(gold, said):
        return
    wanted, value = gold.parts[0].approximate, said.parts[0].approximate
    if wanted is None or value is None:
        return
    for factor in _factors(gold.unit, said.unit, wanted):
        yield wanted, value * factor


def _factors(gold_unit: str, said_unit: str, bare: Fraction) -> tuple[Fraction, ...]:
    """What the answer may be multiplied with where only one of the two is a percentage.

    0.14 is 14 %. A bare 14 beside "14 %" is that figure, but a bare 0.5 beside "0.5 %" is a half.
    """
    if "%" not in (gold_unit, said_unit) or gold_unit == said_unit:
        return (Fraction(1),)
    share = Fraction(1, 100) if said_unit == "%" else Fraction(100)
    return (share, Fraction(1)) if abs(bare) > 1 else (share,)


def _counted(reading: Reading) -> tuple[Exact, ...]:
    """A set has no order."""
    return tuple(sorted(reading.parts, key=lambda part: part.terms))


def _fit(gold: Reading, said: Reading) -> bool:
    """What is said of brackets, units and names by both is said alike."""
    pairs = ((gold.brackets, said.brackets), (gold.unit, said.unit), (gold.name, said.name))
    return all(not a or not b or a == b or {a, b} == {"%", ""} for a, b in pairs)


def _same(a: Exact, b: Exact, gold: Reading, said: Reading) -> bool:
    bare = a.rational or Fraction(0)
    return any(a == b * rational(factor) for factor in _factors(gold.unit, said.unit, bare))
