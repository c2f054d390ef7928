"""What a comparison is told beforehand, and the row that it makes of each paired test."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from perception_r1.compare.pools import Outcome

Endpoint = Literal["accuracy", "perception"]
Kind = Literal["before and after", "arm against arm", "condition against condition"]
Test = Literal["McNemar", "item × seed"]
Standing = Literal["primary", "secondary", "exploratory"]

BASE = "base"  # the model before training
EVERY = "all"  # the stratum that holds all items
UNTOUCHED = "full"  # the condition under which nothing was done to the picture
ENDPOINTS: dict[Outcome, Endpoint] = {"answer right": "accuracy", "all facts right": "perception"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is decided before anything is looked at.

    contrasts: the pairs that claims are made of, each side an arm, or arm@condition; with them the two endpoints make
    two families of tests, and every other test is exploratory. comparable: the arms that may meet at all (None: all),
    as arms that trained on different problems do not.
    """

    alpha: float = 0.05
    contrasts: tuple[tuple[str, str], ...] = ()
    primary: Endpoint = "perception"
    benchmarks: tuple[str, ...] = ()  # that claims are made of; empty: all
    comparable: Collection[tuple[str, str]] | None = None
    effect: float = 0.05  # the true difference of rates that `power` and `needed` are stated for
    power: float = 0.8  # that `needed` is stated for


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One paired test; what does not apply is None.

    Cells: a both right, b only the first, c only the second, d neither. Differences are second less first. Of a row
    over seeds n counts the seeds, b those in which the first was better, c those in which the second was, and p_exact
    and p_midp are sign tests of the two.
    """

    family: str  # what Holm's adjustment is among
    standing: Standing
    benchmark: str
    condition: str
    outcome: Outcome
    kind: Kind
    first: str
    second: str
    first_condition: str  # another one than `condition`, which is the second's, only where conditions meet
    seed: int | None  # None: over all seeds
    test: Test
    alpha: float
    n: int = 0  # pairs with a known outcome
    clusters: int | None = None  # how many groups the items fall into, where groups repeat
    a: int | None = None
    b: int | None = None
    c: int | None = None
    d: int | None = None
    first_rate: float | None = None
    second_rate: float | None = None
    difference: float | None = None
    low: float | None = None  # of the 1 - alpha interval that belongs to p
    high: float | None = None
    newcombe_low: float | None = None
    newcombe_high: float | None = None
    tango_low: float | None = None
    tango_high: float | None = None
    odds_ratio: float | None = None  # c / b with exact limits; None where b or c is 0
    odds_low: float | None = None
    odds_high: float | None = None
    p_exact: float | None = None
    p_midp: float | None = None
    p_clustered: float | None = None  # Obuchowski, with t limits over the groups
    clustered_low: float | None = None
    clustered_high: float | None = None
    design_effect: float | None = None  # how many times the variance is that of independent items
    seed_sd: float | None = None  # of the seeds' differences
    p_seeds: float | None = None  # t test over the seeds, on these very items
    seeds_low: float | None = None
    seeds_high: float | None = None
    p: float | None = None  # that decides: mid-p; Obuchowski where groups repeat; item × seed over seeds
    p_adjusted: float | None = None  # Holm within the family
    effect: float = 0.05  # the true difference that `power` and `needed` are about, with pairs as discordant as here
    power: float | None = None  # of the mid-p test at this n
    needed: int | None = None  # items for the plan's power, by the exact test; None where more than a million
    items_left_out: int = 0  # pairs with an unknown outcome
    sentence: str = ""

    @property
    def shown(self) -> bool:
        """True if there is a difference after Holm's adjustment."""
        return self.p_adjusted is not None and self.p_adjusted <= self.alpha

    @property
    def claimed(self) -> bool:
        """True if the test was declared beforehand."""
        return self.standing != "exploratory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """How often an arm has an outcome, seed by seed; `sd` is None for one seed."""

    arm: str
    benchmark: str
    condition: str
    outcome: Outcome
    stratum: str
    seeds: tuple[int, ...]
    rates: tuple[float, ...]  # in the order of `seeds`
    items: tuple[int, ...]  # that the rates are of
    items_left_out: int  # unknown, over all seeds
    mean: float
    min: float
    max: float
    sd: float | None
