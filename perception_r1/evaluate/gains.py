"""What the picture is worth: the same items with it and without it, paired."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """One model on one benchmark, full against one condition; `gain` is full less the other.

    Of items whose two outcomes are known. guessing: the accuracy of whoever never looks and always gives the most
    frequent answer to each sort of question.
    """

    model: str
    seed: int
    benchmark: str
    condition: str
    n: int
    full: float
    other: float
    gain: float
    low: float | None
    high: float | None
    b: int  # right with the picture only
    c: int  # right without it only
    p: float  # McNemar, mid-p; Obuchowski's where items share a group
    survives: float | None  # of what is right with the picture, the share that is right without
    guessing: float
    p_guessing: float  # that whoever guesses so does as well as `other`, or better

    @property
    def blind(self) -> bool:
        """True if the model does no better here than guessing."""
        return self.p_guessing > LEVEL


def gain(full: Sequence[Row], other: Sequence[Row]) -> Gain | None:
    """The gain of one model; None where no item has two known outcomes. Raises ValueError where the items differ."""
    from scipy import special

    from perception_r1.compare import clustered_mcnemar, mcnemar_midp, paired_difference_ci

    if {row["item"] for row in full} != {row["item"] for row in other}:
        raise ValueError("the two conditions were not asked the same items")
    without = {row["item"]: row for row in other}
    pairs = [(row, without[row["item"]]) for row in full]
    known = [(one, two) for one, two in pairs if one["correct"] is not None and two["correct"] is not None]
    if not known:
        return None
    cells = Counter((bool(one["correct"]), bool(two["correct"])) for one, two in known)
    a, b, c, d = (cells[key] for key in ((True, True), (True, False), (False, True), (False, False)))
    n, head = len(known), known[0][1]
    groups = _groups(known)
    if 1 < len(groups) < n:
        test = clustered_mcnemar(groups)
        p, interval = test.obuchowski_pvalue, test.ci_t
    else:
        p, interval = mcnemar_midp(b, c).pvalue, paired_difference_ci(a, b, c, d).newcombe
    chance, right = guessing([two for _, two in known]), a + c
    return Gain(
        model=head["model"],
        seed=head["seed"],
        benchmark=head["benchmark"],
        condition=head["condition"],
        n=n,
        full=(a + b) / n,
        other=right / n,
        gain=(b - c) / n,
        low=interval.low,
        high=interval.high,
        b=b,
        c=c,
        p=p,
        survives=a / (a + b) if a + b else None,
        guessing=chance,
        p_guessing=float(special.betainc(right, n - right + 1, chance)) if right and chance < 1 else 1.0,
    )


def _groups(known: Sequence[tuple[Row, Row]]) -> list[tuple[int, int, int, int]]:
    """The paired table of each group."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one, two in known:
        found[one["group"]][2 * (not one["correct"]) + (not two["correct"])] += 1
    return [(cells[0], cells[1], cells[2], cells[3]) for cells in found.values()]


def guessing(rows: Sequence[Row]) -> float:
    """The accuracy of the most frequent right answer of each sort of question."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        answers[row["stratum"]][row["gold"].casefold()] += 1
    return sum(counter.most_common(1)[0][1] for counter in answers.values()) / len(rows)
