"""The paper's own three tests, computed again from its counts, with what it left out.

Perception-R1, arXiv 2506.07218: 50 problems of MathVista's geometry part, perception right or wrong before and after.
"""

from dataclasses import dataclass

from perception_r1.compare.checks import between
from perception_r1.compare.mcnemar import mcnemar_exact, mcnemar_midp
from perception_r1.compare.multiplicity import adjust_pvalues
from perception_r1.compare.power import mcnemar_power, mcnemar_sample_size

PAPER_ITEMS = 50  # arXiv 2506.07218, section on the motivating experiment


@dataclass(frozen=True)
class PaperTest:
    """A reported test: b and c are the two discordant cells, b the smaller (only the model before training right)."""

    contrast: str
    b: int
    c: int
    reported: float


# arXiv 2506.07218 reports the discordant cells and these p values, rounded
PAPER_TESTS = (
    PaperTest("Qwen2-VL-7B → accuracy-only RLVR", 1, 5, 0.22),
    PaperTest("Qwen2.5-VL-7B → accuracy-only RLVR", 2, 4, 0.69),
    PaperTest("Qwen2.5-VL-7B → Perception-R1", 2, 10, 0.04),
)


@dataclass(frozen=True)
class PaperCheck:
    """One reported test again; the powers and numbers of items take the observed split as the truth."""

    contrast: str
    b: int
    c: int
    reported: float
    exact_p: float
    holm_exact: float
    midp: float
    holm_midp: float
    power_exact: float
    power_midp: float
    needed_connor: int
    needed_exact: int


def paper_check(alpha: float = 0.05, power: float = 0.8) -> list[PaperCheck]:
    """The paper's p values from its counts, adjusted as one family, with power at its n and the n it needed."""
    alpha, power = between(alpha, "alpha"), between(power, "power")
    exact = [mcnemar_exact(test.b, test.c).pvalue for test in PAPER_TESTS]
    midp = [mcnemar_midp(test.b, test.c).pvalue for test in PAPER_TESTS]
    adjusted = zip(PAPER_TESTS, exact, adjust_pvalues(exact), midp, adjust_pvalues(midp), strict=True)
    return [_check(*row, alpha, power) for row in adjusted]


def _check(
    test: PaperTest, exact: float, holm_exact: float, midp: float, holm_midp: float, alpha: float, power: float
) -> PaperCheck:
    rates = (test.b / PAPER_ITEMS, test.c / PAPER_ITEMS)
    found, needed = mcnemar_power(PAPER_ITEMS, *rates, alpha), mcnemar_sample_size(*rates, alpha, power)
    return PaperCheck(
        test.contrast,
        test.b,
        test.c,
        test.reported,
        exact,
        holm_exact,
        midp,
        holm_midp,
        found.exact_test,
        found.midp_test,
        needed.connor,
        needed.exact_test,
    )
