"""What a report is made from, and how its parts are found in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from perception_r1.compare.contrast import UNTOUCHED, ArmSummary, Contrast, Kind
from perception_r1.compare.corrections import Correction
from perception_r1.compare.pools import Outcome
from perception_r1.evaluate.contamination import Overlap
from perception_r1.evaluate.gains import Gain
from perception_r1.evaluate.scores import Score

SEES: Outcome = "all facts right"
ANSWERS: Outcome = "answer right"
Rollouts = Mapping[str, Sequence[Mapping[str, float | None]]]


class Alarm(NamedTuple):
    """What was suspicious at a step of an arm's training."""

    arm: str
    seed: int
    step: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that the page shows.

    judge: its metrics by name; under "gates" a list of {says, passed}, and any other list of mappings is a table of its
    own, such as the slices of the gold set. funnel: the steps of annotation
    with what was left after each. quality: measures of the annotations by name, where the truth is known. versions: the
    artifacts that the numbers came from, as (what, version). rollouts: of each arm, a mapping from reward term to mean
    for each step of training (None where nothing is known), with the step's number under "step" where it is not 1, 2, …
    looks: the same of what was held out while it trained, by measure. alarms: what was suspicious there.
    """

    title: str
    meaningless: bool  # too small for any conclusion
    contrasts: Sequence[Contrast]
    spread: Sequence[ArmSummary]
    judge: Mapping[str, Any]
    funnel: Sequence[tuple[str, int]]
    quality: Mapping[str, Any] | None
    config: Mapping[str, Any]  # resolved
    versions: Sequence[tuple[str, str]]
    made: str  # when
    control: str  # the arm that was trained where guessing does not pay; empty if none was
    rollouts: Rollouts
    looks: Rollouts = field(default_factory=dict)
    alarms: Sequence[Alarm] = ()
    corrections: Sequence[Correction] = ()  # of tests of judged perception
    scores: Sequence[Score] = ()  # of every model under every condition
    gains: Sequence[Gain] = ()  # what the pictures are worth
    overlaps: Sequence[Overlap] = ()  # items that training has seen

    @property
    def world(self) -> bool:
        """True if the model is the tiny one of the embedded world."""
        train = self.config.get("train")
        return isinstance(train, Mapping) and train.get("model") == "world"


class Setting(NamedTuple):
    """A benchmark under a condition."""

    benchmark: str
    condition: str

    @property
    def seen(self) -> bool:
        """True if nothing was done to the picture: what the answer is about."""
        return self.condition == UNTOUCHED

    def __str__(self) -> str:
        return self.benchmark if self.seen else f"{self.benchmark} ({self.condition})"


def settings(findings: Findings) -> list[Setting]:
    """The benchmarks and conditions in the order of the contrasts, those with the untouched picture first."""
    found = dict.fromkeys(Setting(row.benchmark, row.condition) for row in findings.contrasts)
    return sorted(found, key=lambda setting: not setting.seen)


def shown(findings: Findings) -> list[Setting]:
    """The benchmarks with the untouched picture; other conditions only where there is nothing else."""
    found = settings(findings)
    return [setting for setting in found if setting.seen] or found


def trained(findings: Findings) -> list[str]:
    """The arms in the order of the contrasts."""
    after = (row.second for row in findings.contrasts if row.kind == "before and after")
    met = (arm for row in findings.contrasts if row.kind == "arm against arm" for arm in (row.first, row.second))
    return list(dict.fromkeys([*after, *met]))


def rows(findings: Findings, setting: Setting, kind: Kind, outcome: Outcome) -> list[Contrast]:
    """The contrasts of one kind and outcome on one benchmark."""
    return [
        row
        for row in findings.contrasts
        if (row.benchmark, row.condition, row.kind, row.outcome) == (*setting, kind, outcome)
    ]


def pairs(contrasts: Sequence[Contrast]) -> Iterator[list[Contrast]]:
    """The contrasts by their two models, in order."""
    for pair in dict.fromkeys((row.first, row.second) for row in contrasts):
        yield [row for row in contrasts if (row.first, row.second) == pair]


def seed_rows(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The rows of single seeds of which something is known."""
    return [row for row in contrasts if row.seed is not None and row.difference is not None]


def over_seeds(contrasts: Sequence[Contrast]) -> Contrast | None:
    """The first row over all seeds, if there is one."""
    return next((row for row in contrasts if row.seed is None), None)


def claims(contrasts: Sequence[Contrast]) -> dict[Outcome, list[Contrast]]:
    """The declared tests of which something is known by outcome, the primary one first."""
    told = [row for row in contrasts if row.claimed and row.difference is not None]
    order = sorted(dict.fromkeys(row.outcome for row in told), key=lambda outcome: not _primary(told, outcome))
    return {outcome: [row for row in told if row.outcome == outcome] for outcome in order}


def _primary(contrasts: Sequence[Contrast], outcome: Outcome) -> bool:
    return any(row.standing == "primary" for row in contrasts if row.outcome == outcome)
