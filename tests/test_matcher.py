"""The matcher is certain or silent: every row was decided by hand."""

import random
from fractions import Fraction
from pathlib import Path

import pytest

from perception_r1.judges import match
from perception_r1.judges.notation import value

BAR, SIDE, ANGLE = "Bar A is 7.", "AB = 5", "Angle ABC is 30 degrees."

RED, FIVE, LEFT = "Bar A is red.", "There are 5 bars.", "Bar A is to the left of bar B."
TALLEST, TALLER, LONGER = "Bar A is the tallest bar.", "Bar A is taller than bar B.", "AB is longer than CD."

SUPPORTED = [
    (RED, "Bar A is red."),
    (RED, "The bar A is colored red, bar B is blue."),
    (RED, "A is red."),
    (RED, "**Bar A** is **red** in the image."),
    (FIVE, "The chart shows five bars."),
    (FIVE, "There are exactly 5 bars in the chart."),
    (FIVE, "In the image, there are 5 columns. There are 5 bars."),
    (LEFT, "Bar B is right of bar A."),
    (LEFT, "A is directly to the left of B."),
    (TALLEST, "Bar A is the tallest."),
    (TALLEST, "The tallest bar is A."),
    (TALLEST, "Bar A is 7. Bar B is 5. So bar A is the highest."),
    (TALLEST, "Bar A is 7. The tallest is A."),
    (TALLER, "B is shorter than A."),
    (TALLER, "Bar A is 7 and bar B is 5, so A is higher than B."),
    (LONGER, "AB = 5, CD = 3. AB is longer than CD."),
    ("AB = CD", "AB = CD. AB = 3. CD = 3."),
    (BAR, "Let me look at the chart. Bar A is 7. Next. If bar B is 5, the rest follows. So the answer is A."),
    (LONGER, "Segment BA is longer than segment DC."),
    (LONGER, "DC is shorter than AB."),
    (BAR, "Bar A is 7."),
    (BAR, "bar a is 7"),
    (BAR, "The height of bar A is 7."),
    (BAR, "A = 7"),
    (BAR, "A=7, B=3."),
    (BAR, "Bar A: 7\nBar B: 3"),
    (BAR, "Bar A is seven."),
    (BAR, "Bar A is 7.0."),
    (BAR, "Bar A is 14/2."),
    (BAR, "- **Bar A** is **7**.\n- **Bar B** is 5."),
    (BAR, "Bar A is $7$."),
    (BAR, "Bar A is ７."),
    (BAR, "Bar A has a height of 7 units, bar B is 3 and bar C is 5, so A is the tallest."),
    (BAR, "In the image, bar A is 7 units tall."),
    (BAR, "I can see that bar A is 7."),
    (BAR, "Bar A's height is 7."),
    (BAR, "Bar A is 7.Bar C is 2."),
    (BAR, "Bar A is 7. Bar C is 2. 7 > 2."),
    (BAR, "Bar A is 7. The answer is 6."),
    (BAR, "Bar A is not 5. Bar A is 7."),
    ("The height of bar A is 7.", "A = 7"),
    ("A = 7", "Bar A is 7."),
    (SIDE, "AB is 5."),
    (SIDE, "BA = 5"),
    (SIDE, "The length of segment BA is 5 cm."),
    (SIDE, "$\\overline{AB} = 5$"),
    (SIDE, "Side AB measures 5.0 units."),
    ("AB = 5 cm", "AB = 5"),
    ("AB = 5\\sqrt{2}", "AB = 5√2"),
    ("AB = \\frac{20}{3}", "AB is 20/3."),
    ("AB = 1200", "AB = 1,200."),
    ("AB = 8\\pi", "AB = 8π"),
    (ANGLE, "∠CBA = 30°"),
    (ANGLE, "$m\\angle ABC = 30^\\circ$."),
    (ANGLE, "Angle CBA measures 30 degrees."),
    ("Angle 1 is 30°", "The measure of angle 1 is 30."),
    ("AB is parallel to CD", "DC ∥ BA"),
    ("AB \\perp CD", "CD is perpendicular to AB."),
    ("AB is parallel to CD", "AB and CD are parallel."),
    ("AB = CD", "CD is equal to BA."),
    ("The area of triangle ABC is 24.", "The area of triangle BCA is 24."),
]
CONTRADICTED = [
    (RED, "Bar A is blue."),
    (RED, "A is not red."),
    (FIVE, "There are 4 bars."),
    (FIVE, "There are not 5 bars."),
    (LEFT, "A is to the right of B."),
    (LEFT, "Bar B is left of bar A."),
    (TALLEST, "Bar B is the tallest bar."),
    (TALLEST, "The tallest bar is C."),
    (TALLER, "Bar B is taller than bar A."),
    (TALLER, "Bar A is shorter than bar B."),
    (LONGER, "CD is longer than AB."),
    (BAR, "Bar A is 6."),
    (BAR, "Bar A is 7.5."),
    (BAR, "Bar A is 70."),
    (BAR, "Bar A is -7."),
    (BAR, "Bar A is not 7."),
    (BAR, "Bar A isn't 7."),
    (BAR, "Bar A ≠ 7"),
    (BAR, "Bar A is five."),
    (BAR, "A = 8, B = 7"),
    (BAR, " ".join(f"Bar A is {number}." for number in range(1, 10))),
    (BAR, "Bar A is 7. Bar A is 6. Bar A is 5. No, wait, bar A is 7."),
    (SIDE, "BA is 6 cm."),
    (ANGLE, "∠CBA = 31°"),
    ("AB is parallel to CD", "AB is not parallel to CD."),
    ("AB = CD", "AB and CD are not equal."),
    ("AB = 5\\sqrt{2}", "AB = 5√3"),
]
LEFT_OPEN = [
    # colours, counts, places and comparisons that are not certain
    (RED, "The red bar is tall."),
    (RED, "Bar A is reddish."),
    (RED, "Bar A is dark red."),
    (RED, "Bar A is red or blue."),
    (RED, "Bar A is red. Bar A is blue."),
    (RED, "Bar A is red. No, wait, it is blue."),
    (RED, "Bar A is red. All bars are blue."),
    (RED, "Bar A is not blue."),
    (RED, "Is bar A red?"),
    (RED, "Point A is blue."),
    (FIVE, "There are 5 red bars."),
    (FIVE, "There are about 5 bars."),
    (FIVE, "There are 5 bars on the left."),
    (FIVE, "There are at least 4 bars."),
    (FIVE, "There are 3 circles."),
    (FIVE, "There are 5 bars. There are 2 more bars."),
    (LEFT, "Bar A is left."),
    (LEFT, "Bar A is left of bar C."),
    (LEFT, "Bar A is not right of bar B."),
    (LEFT, "Bar A might be left of bar B."),
    (TALLEST, "Bar A is tall."),
    (TALLEST, "Bar A is the tallest of the two."),
    (TALLEST, "Bar A is the shortest."),
    (TALLER, "Bar A is taller than bar C."),
    (TALLER, "Bar A is not shorter than bar B."),
    (TALLER, "Bar A is taller than bar A."),
    (TALLER, "Bar A is as tall as bar B."),
    (TALLER, "Bar A is 2 taller than bar B."),
    (LONGER, "AB is longer than CE."),
    # nothing is said of it
    (BAR, ""),
    (BAR, "Bar B is 7."),
    (BAR, "The tallest is A."),
    (BAR, "7 > 2."),
    (ANGLE, "Angle ACB is 30 degrees."),
    (SIDE, "AC = 5"),
    # hedges, questions, conditions
    (BAR, "Maybe bar A is 7."),
    (BAR, "Bar A is maybe 7."),
    (BAR, "Bar A is either 5 or 7."),
    (BAR, "Bar A is 7 or 8."),
    (BAR, "Bar A is about 7."),
    (BAR, "Bar A ≈ 7"),
    (BAR, "Bar A is at least 7."),
    (BAR, "Is bar A 7? Bar A is 7?"),
    (BAR, "If bar A is 7, bar B is 5."),
    (BAR, "If so, bar A is 7."),
    (BAR, "Bar A is 7..."),
    # denied, taken back, quoted, two values
    (BAR, "It is false that bar A is 7."),
    (BAR, "The following is wrong. Bar A is 7."),
    (BAR, "Bar A is 7. None of this is so."),
    (BAR, "Bar A is 7. No, wait, bar A is 5."),
    (BAR, "Bar A is 5. Actually, bar A is 7."),
    (BAR, 'The question says "bar A is 7".'),
    (BAR, "Bar A is 7. Bar A is 5."),
    (BAR, "Bar A is 7. Bar A is not 7."),
    (BAR, "Bar A is 7. It is 5."),
    (BAR, "Bar A is 7. All bars are 5."),
    (BAR, "Bar A is 7. The leftmost bar is 5."),
    (BAR, "Bar A is 7 (not really)."),
    (BAR, "Bar A is <s>7</s>."),
    (BAR, "Bar A is ~~7~~."),
    (BAR, "Bar A is 7. <del>x</del>"),
    # not what it looks like
    (BAR, "The sum of bar B and bar A is 7."),
    (BAR, "The sum of B, A is 7."),
    (BAR, "Bar A is 7 less than bar B."),
    (BAR, "Bar A is 7 - 2."),
    (BAR, "Bar A is 7, minus 2."),
    (BAR, "Bar A is 7 and a half."),
    (BAR, "Bar A is 7²."),
    (BAR, "Bar A is 7½."),
    (BAR, "Bar A is 7%."),
    (BAR, "Bar A is 7e3."),
    (BAR, "Bars A, B and C are 7, 5 and 3."),
    (BAR, "A: 7, B: 5"),
    (BAR, "Bar A is 7. Bar А is 5."),  # a Cyrillic letter
    (BAR, "Bar A is 7. 以上皆错"),
    (BAR, "Bar A is \\cancel{7}."),
    (BAR, "The width of bar A is 7."),
    ("AB = 5 cm", "AB = 5 m"),
    (ANGLE, "Angle ABC is 30 rad."),
    # annotations that are not one plain statement
    ("Bar A is 7 and bar B is 5.", "Bar A is 7. Bar B is 5."),
    ("Bar A is not 7.", "Bar A is not 7."),
    ("Bar A is about 7.", "Bar A is 7."),
    # not in the thoughts
    (BAR, "<think>I look.</think><answer>Bar A is 7.</answer>"),
    (BAR, "<think>Bar A is 7."),
]
# Stated, and then taken back, hedged, supposed, quoted or outdone, in words that nobody can list.
TAKEN_BACK = [line.replace("\\n", "\n") for line in Path(__file__).with_name("taken_back.txt").read_text().splitlines()]
NOT_CERTAIN = [
    *((BAR, text) for text in TAKEN_BACK),
    ("AB = 5.66", "AB = 4√2"),
    ("AB = 20/3", "AB = 6.67"),
    ("AB = 0.33", "AB = 1/3"),
    ("AB = 5√2", "AB = √50"),
    ("AB = 25.13", "AB = 8π"),
    ("AB = 4", "AB = √16"),
    (SIDE, "AB = 5. AB is double that."),
    ("AB is parallel to CD", "AB is parallel to CD. They meet."),
    ("AB is parallel to CD", "AB is parallel to CD. The lines intersect."),
    ("There are 5 bars.", "There are 5 bars. 2 more follow."),
    ("There are 5 bars.", "There are 5 bars. Six, counting again."),
    ("Bar A is red.", "Bar A is red. It is blue."),
    ("Bar A is red.", "Bar A is red. It's blue."),
    ("Bar A is red.", "Bar A is red. Blue, rather."),
    ("Bar A is red.", "Bar A is red. Blue."),
    ("Bar A is red.", "Bar A is red. The first one is blue."),
    ("Bar A is to the left of bar B.", "Bar A is left of bar B. The other way round."),
    ("Bar A is to the left of bar B.", "Bar A is left of bar B. Vice versa."),
    ("Bar A is taller than bar B.", "Bar A is taller than bar B. They are the same."),
    ("Bar A is taller than bar B.", "Bar A is taller than bar B. Both are 5."),
    ("Bar A is the tallest bar.", "Bar A is the tallest. Its rival is taller."),
    ("AB = CD", "AB = CD. One is longer."),
    ("Angle ABC is 30 degrees.", "Angle ABC is 30 degrees. The angle is 40."),
    ("Angle ABC is 30 degrees.", "Angle ABC is 30 degrees. Angle B is 40."),
    ("Bar A is the tallest bar.", "Bar A is the tallest. Bar B is the tallest, too."),
    ("Bar A is the tallest bar.", "Ties: Bar A and bar B. Bar B is the tallest."),
    (TALLER, "Bar A is taller than bar B. A is less."),
    (TALLER, "Bar A is taller than bar B. Bar A: 5. Bar B: 6."),
    (TALLEST, "Bar A is the tallest bar. Bar A is 3. Bar B is 9."),
    (LONGER, "AB = 3, CD = 5. AB is longer than CD."),
    ("AB = CD", "AB = CD. AB = 3. CD = 5."),
    ("AB is parallel to CD", "AB is parallel to CD. AB is perpendicular to CD."),
    (FIVE, "There are 5 bars. One is off."),
]
CASES = [
    *((*pair, "supported") for pair in SUPPORTED),
    *((*pair, "contradicted") for pair in CONTRADICTED),
    *((*pair, None) for pair in (*LEFT_OPEN, *NOT_CERTAIN)),
]


@pytest.mark.parametrize(("annotation", "response", "verdict"), CASES, ids=[f"{a} <- {r}"[:70] for a, r, _ in CASES])
def test_the_matcher_is_certain_or_silent(annotation: str, response: str, verdict: str | None) -> None:
    decision = match(annotation, response)
    assert (decision.verdict if decision else None) == verdict


def test_the_evidence_is_the_statement() -> None:
    decision = match(BAR, "We look. So bar B is 3, and bar A is 7.")
    assert decision is not None and decision.evidence == "bar A is 7"


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("7", (Fraction(7), "")),
        ("-7.50", (Fraction(-15, 2), "")),
        ("1,200", (Fraction(1200), "")),
        ("20/3", (Fraction(20, 3), "")),
        ("5 sqrt(2)", (Fraction(5), "sqrt(2)")),
        ("sqrt2", (Fraction(1), "sqrt(2)")),
        ("8 pi", (Fraction(8), "pi")),
    ],
)
def test_a_number_is_exact(written: str, exact: tuple[Fraction, str]) -> None:
    assert value(written) == exact


def test_whatever_else_is_said_a_wrong_number_is_never_supported() -> None:
    chance = random.Random(0)
    pieces = [
        "Bar A",
        "bar B",
        "AB",
        "is",
        "=",
        "not",
        "7",
        "5",
        "is 7",
        "is 5",
        "and",
        ",",
        ".",
        "?",
        "so",
        "no",
        "\n",
    ]
    for _ in range(4000):
        text = " ".join(chance.choices(pieces, k=chance.randint(1, 12))) + ". Bar A is 5."
        decision = match(BAR, text)
        assert decision is None or decision.verdict == "contradicted", text


@pytest.mark.parametrize("piece", ["bar A is 7, ", "it is ", "the ", "1", "AB = CD and ", "\\text{", "so ", "\n- "])
def test_a_hostile_text_is_read_all_the_same(piece: str) -> None:
    decision = match(BAR, piece * 3000)  # an expression that backtracks would hit the suite's time limit
    assert decision is None or piece == "bar A is 7, "
