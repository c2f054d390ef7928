"""Exact numbers: sums of rationals times square roots, pi and letters. Two that are equal are equal as values.

    1/2 + 2√3 - π   is   {(1, ()): 1/2, (3, ()): 2, (1, (("π", 1),)): -1}

Every operation is bounded in time and size; what would go beyond, or cannot be written so, raises Unreadable.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd, isqrt

Monomial = tuple[int, tuple[tuple[str, int], ...]]  # a square-free radicand, and the powers of symbols
ONE: Monomial = (1, ())

MOST_BITS = 4096
MOST_TERMS = 64
MOST_POWER = 64
LARGEST_RADICAND = 10**12  # its square factors are found by trial up to its cube root
PLACES = 10**40  # of an approximation
PI = Fraction(31415926535897932384626433832795028841971, 10**40)


class Unreadable(Exception):
    """No exact number, or one too large to be an answer."""


@dataclass(frozen=True, slots=True)
class Exact:
    """A number, by its non-zero terms in order."""

    terms: tuple[tuple[Monomial, Fraction], ...]

    def __add__(self, other: "Exact") -> "Exact":
        sums = dict(self.terms)
        for monomial, factor in other.terms:
            sums[monomial] = sums.get(monomial, Fraction(0)) + factor
        return _made(sums)

    def __neg__(self) -> "Exact":
        return Exact(tuple((monomial, -factor) for monomial, factor in self.terms))

    def __sub__(self, other: "Exact") -> "Exact":
        return self + -other

    def __mul__(self, other: "Exact") -> "Exact":
        if len(self.terms) * len(other.terms) > MOST_TERMS**2:
            raise Unreadable
        sums: dict[Monomial, Fraction] = {}
        for (n, symbols), a in self.terms:
            for (m, more), b in other.terms:
                common = gcd(n, m)
                monomial = (n // common * (m // common), _powers(symbols, more))
                sums[monomial] = sums.get(monomial, Fraction(0)) + a * b * common
        return _made(sums)

    def __truediv__(self, other: "Exact") -> "Exact":
        if len(other.terms) == 1:
            (((n, symbols), factor),) = other.terms
            inverse = (n, tuple((name, -power) for name, power in symbols))
            return self * Exact(((inverse, 1 / (factor * n)),))
        if len(other.terms) != 2:
            raise Unreadable
        first, second = (Exact((term,)) for term in other.terms)
        square = first * first - second * second
        if len(square.terms) != 1:
            raise Unreadable
        return self * (first - second) / square

    def __pow__(self, exponent: "Exact") -> "Exact":
        power = exponent.rational
        if power is None or power.denominator > 2 or abs(power) > MOST_BITS:
            raise Unreadable
        if power.denominator == 2:
            return root(self, 2) ** rational(power.numerator)
        return _power(self, power.numerator)

    @property
    def rational(self) -> Fraction | None:
        """The number as a fraction, if it is one."""
        if not self.terms:
            return Fraction(0)
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == ONE else None

    @property
    def approximate(self) -> Fraction | None:
        """The number to some forty places; None if it has letters."""
        total = Fraction(0)
        for (n, symbols), factor in self.terms:
            if any(name != "π" for name, _ in symbols):
                return None
            surd = Fraction(isqrt(n * PLACES**2), PLACES) if n > 1 else 1
            power = symbols[0][1] if symbols else 0
            total += factor * surd * PI**power
        return total


def _made(sums: dict[Monomial, Fraction]) -> Exact:
    """The number of these terms, within bounds."""
    terms = tuple(sorted((monomial, factor) for monomial, factor in sums.items() if factor))
    if len(terms) > MOST_TERMS or any(_bits(factor) > MOST_BITS or n > LARGEST_RADICAND for (n, _), factor in terms):
        raise Unreadable
    return Exact(terms)


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def _powers(first: tuple[tuple[str, int], ...], second: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    powers = dict(first)
    for name, power in second:
        powers[name] = powers.get(name, 0) + power
    if any(abs(power) > MOST_POWER for power in powers.values()):
        raise Unreadable
    return tuple(sorted((name, power) for name, power in powers.items() if power))


def _power(base: Exact, power: int) -> Exact:
    """By squaring, once it is known that the result stays small."""
    if not base.terms and power <= 0:
        raise Unreadable
    if max((_bits(factor) for _, factor in base.terms), default=1) * abs(power) > MOST_BITS + MOST_POWER:
        raise Unreadable
    if len(base.terms) > 1 and abs(power) > MOST_POWER // 4:
        raise Unreadable
    result = rational(1)
    for bit in bin(abs(power))[2:]:
        result = result * result
        result = result * base if bit == "1" else result
    return result if power >= 0 else rational(1) / result


def rational(number: Fraction | int) -> Exact:
    """A fraction as an exact number."""
    return _made({ONE: Fraction(number)})


def symbol(name: str) -> Exact:
    """A letter, or "π"."""
    return Exact((((1, ((name, 1),)), Fraction(1)),))


def root(number: Exact, degree: int) -> Exact:
    """The real root of a rational; one of a higher degree that is no rational stands for itself, like a letter."""
    value = number.rational
    if value is None or not 2 <= degree <= MOST_POWER or (value < 0 and degree % 2 == 0):
        raise Unreadable
    if degree == 2:
        square, rest = _square_and_rest(value.numerator * value.denominator)
        return _made({(rest, ()): Fraction(square, value.denominator)}) if value else rational(0)
    sign = -1 if value < 0 else 1
    top, bottom = (_whole_root(part, degree) for part in (abs(value.numerator), value.denominator))
    if top is None or bottom is None:
        return rational(sign) * symbol(f"root {degree} of {abs(value)}")
    return rational(Fraction(sign * top, bottom))


def _whole_root(number: int, degree: int) -> int | None:
    low, high = 0, 1 << (number.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**degree < number else (low, middle)
    return low if low**degree == number else None


@lru_cache(maxsize=4096)
def _square_and_rest(number: int) -> tuple[int, int]:
    """s and a square-free r with s * s * r the number."""
    whole = isqrt(number)
    if whole * whole == number:
        return whole, 1
    if number > LARGEST_RADICAND:
        raise Unreadable
    square, rest, factor = 1, 1, 2
    while factor**3 <= number:
        while number % factor**2 == 0:
            number, square = number // factor**2, square * factor
        if number % factor == 0:
            number, rest = number // factor, rest * factor
        factor += 1
    whole = isqrt(number)  # what is left is a prime, two primes, or the square of one
    return (square * whole, rest) if whole * whole == number else (square, rest * number)
