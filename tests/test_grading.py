r"""Whether a response is right: exactly, by the type of the answer, the same in training and evaluation."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest

from perception_r1.errors import PerceptionError
from perception_r1.evaluate import Grade, grade_answer
from perception_r1.evaluate.exact import Exact, Unreadable, rational, root, symbol
from perception_r1.evaluate.grading import infer_type
from perception_r1.evaluate.reading import read


def boxed(said: str) -> str:
    return f"<think>\nAB = 3.\n</think>\n<answer>\n\\boxed{{{said}}}\n</answer>"


# gold, what is said in the box
RIGHT = {
    "A1-surd-undelimited": (r"2 \sqrt { 221 }", r"2\sqrt{221}"),
    "A1-surd-not-simplified": (r"2 \sqrt { 221 }", r"\sqrt{884}"),
    "A1-fraction": (r"\frac { 20 } { 3 }", r"\dfrac{20}{3}"),
    "A1-pi": (r"8 \pi", r"8\pi"),
    "A1-root-of-three": (r"\sqrt { 3 }", r"\sqrt3"),
    "A1-five-roots-of-two": (r"5 \sqrt { 2 }", "5√2"),
    "delimited-gold": (r"$2\sqrt{221}$", r"2\sqrt{221}"),
    "boxed-gold": (r"\boxed{\frac{5}{2}}", "2.5"),
    "A2-letter": ("A", "A"),
    "letter-in-text": ("B", r"\text{(B)}"),
    "letters-in-any-order": ("A, C", "C, A"),
    "A8-to-the-gold's-decimals": ("35.9", "35.94"),
    "integer-with-a-point": ("14", "14.0"),
    "thousands": ("1450", "1,450"),
    "thousands-in-gold": ("1,450", "1450"),
    "dollars": ("1450", r"\$1,450"),
    "plain-dollars": ("1450", "$1,450"),
    "minus-sign": ("-3", "−3"),
    "number-word": ("5", "five"),
    "power-of-ten": ("120000", r"1.2 \times 10^{5}"),
    "power-of-ten-by-e": ("0.0012", "1.2e-3"),
    "power-of-ten-by-x": ("1200", "1.2 x 10^3"),
    "thousands-by-spaces": ("12345678", "12 345 678"),
    "spaces-without-width": ("5", "\u200b5\ufeff"),
    "triangle": ("△ABC", r"\triangle ABC"),
    "wide-digits": ("10", "１０"),
    "accents-in-two-spellings": ("caf\u00e9", "cafe\u0301"),
    "mixed-number-of-digits": ("-1.5", r"-1\frac12"),
    "how-many-times": ("24", r"24 \text{ times}"),
    "kelvin": ("300", r"300 \text{ K}"),
    "euros": ("5", "€5"),
    "unit-only-said": ("24", r"24 \text{ cm}"),
    "unit-only-in-gold": (r"24 \text{ cm}", "24"),
    "unit-spelled-out": ("24 cm^2", "24 square centimetres"),
    "unknown-unit": ("5", r"5 \text{ apples}"),
    "speed": ("60 km/h", "60 kilometers per hour"),
    "area": (r"36\pi", r"36\pi \text{ cm}^2"),
    "degree": (r"45 ^ { \circ }", "45"),
    "degree-sign": ("45", "45°"),
    "degree-spelled-out": ("45°", "45 degrees"),
    "named": ("5", "x = 5"),
    "named-angle": ("45", r"m\angle ABC = 45^\circ"),
    "computed": ("5", "2 + 3 = 5"),
    "percent-as-share": ("0.5", r"50\%"),
    "percent-as-figure": ("50", "50%"),
    "percent-in-gold-share-said": ("50%", "0.5"),
    "percent-in-gold-figure-said": (r"50\%", "50"),
    "mixed-number": ("2.5", r"2\frac{1}{2}"),
    "mixed-number-plain": ("5/2", "2 1/2"),
    "fraction-of-digits": (r"\frac{1}{2}", r"\frac12"),
    "decimal-for-fraction": (r"\frac{1}{8}", "0.125"),
    "rationalised": (r"\frac{1}{\sqrt{3}}", r"\frac{\sqrt{3}}{3}"),
    "conjugate": (r"\sqrt{2}-1", r"\frac{1}{1+\sqrt{2}}"),
    "sum-in-another-order": (r"8+16\sqrt{3}", r"16 \sqrt { 3 } + 8"),
    "factor-before-or-above": (r"\frac{9\sqrt5}{2}", r"\frac{9}{2}\sqrt{5}"),
    "cube-root": (r"\sqrt[3]{8}", "2"),
    "cube-root-that-stays": (r"3\sqrt[3]{2}", r"\sqrt[3]{2} \cdot 3"),
    "half-power": ("2\\sqrt{3}", "12^{1/2}"),
    "letters": ("2x+1", "1 + 2x"),
    "squares": ("(x+1)^2", "x^2+2x+1"),
    "line": ("y = 2x + 1", "y=1+2x"),
    "subscript": ("x_1 + x_2", "x_{2} + x_{1}"),
    "sine-stays": (r"10 \sin { 30 ^ { \circ } }", r"10\sin 30°"),
    "coordinates": ("( 3 , - 4 )", "(3,-4)"),
    "coordinates-with-fractions": ("(0.5,2)", r"\left(\frac12, 2\right)"),
    "list": ("[1, 2, 3]", "1, 2, 3"),
    "list-of-words": ("['red', 'blue']", "[red, blue]"),
    "set": (r"\{1,2\}", r"\{2, 1\}"),
    "two-solutions": ("3, -4", "x = 3 or x = -4"),
    "inequality": ("x > 5", "x>5"),
    "ratio": ("3:4", "3 : 4"),
    "text": ("Equilateral Triangle", "an equilateral triangle."),
    "yes": ("yes", "Yes."),
    "yes-for-true": ("True", "yes"),
}
WRONG = {
    "A1-last-number-of-a-surd": (r"2 \sqrt { 221 }", "221"),
    "A1-denominator": (r"\frac { 20 } { 3 }", "3"),
    "A1-factor-of-pi": (r"8 \pi", "8"),
    "A1-radicand": (r"\sqrt { 3 }", "3"),
    "rounded-surd": (r"2 \sqrt { 221 }", "29.73"),
    "rounded-fraction": (r"\frac{1}{3}", "0.333"),
    "rounded-pi": (r"\pi", "3.14"),
    "A2-another-letter": ("A", "B"),
    "lower-case-letter": ("B", "b"),
    "A8-too-far": ("35.9", "36"),
    "fewer-decimals-than-the-gold": ("35.94", "35.9"),
    "A9-hedge": ("24", "24 or 7"),
    "hedge-with-comma": ("24", "24, 7"),
    "hedge-by-equation": ("24", "7 = 24"),
    "hedge-by-sign": ("24", r"24 \pm 1"),
    "hedge-in-text": ("24", r"24 \text{ or 7}"),
    "euros-for-dollars": ("$5", "€5"),
    "digits-apart": ("56", "5 6"),
    "braces-apart": ("56", "{5}{6}"),
    "mixed-number-of-digits-is-no-product": ("0.5", r"1\frac12"),
    **{
        f"no-unit-{said}": ("24", rf"24 \text{{ {said}}}")
        for said in ("is wrong", "incorrect", "at least", "(approximately)", "squared", "minus one", "times two", "k")
    },
    **{f"no-unit-{said}": ("24", rf"24 \text{{{said}}}") for said in ("thousandths", " twenty-five", " pi", "x")},
    "about": ("24", "~24"),
    "approximate": ("24", r"\approx 24"),
    "denied": ("24", "not 24"),
    "another-unit": ("24 cm", "24 m"),
    "another-dimension": ("24 cm^2", "24 cm"),
    "millions": ("5", "5 million"),
    "percent-of-a-share": ("0.5", r"0.5\%"),
    "swapped-coordinates": ("(3,4)", "(4,3)"),
    "interval-for-a-point": ("(3,4)", "[3,4]"),
    "half-open": ("[3,4)", "[3,4]"),
    "list-too-short": ("[1, 2, 3]", "1, 2"),
    "list-in-another-order": ("[1, 2, 3]", "[3, 2, 1]"),
    "letters-too-many": ("A, C", "A, B, C"),
    "another-line": ("x = 5", "y = 5"),
    "yes-and-no": ("yes", "yes and no"),
    "no": ("yes", "no"),
    "yes-or-no": ("no", "no or yes"),
    "part-of-the-text": ("triangle", "triangle or square"),
    "empty-text": ("triangle", r"\text{}"),
    "number-that-contains-the-gold": ("24", "124"),
    "another-inequality": ("x > 5", "x < 5"),
    "mixed-number-written-together": ("21/2", "2 1/2"),
    "division-by-zero": ("5", r"\frac{5}{0}"),
}


@pytest.mark.parametrize(("gold", "said"), RIGHT.values(), ids=RIGHT)
def test_the_same_answer_is_right(gold: str, said: str) -> None:
    grade = grade_answer(boxed(said), gold)
    assert (grade.correct, grade.status) == (True, "answered")


@pytest.mark.parametrize(("gold", "said"), WRONG.values(), ids=WRONG)
def test_another_answer_is_wrong(gold: str, said: str) -> None:
    assert not grade_answer(boxed(said), gold).correct


@pytest.mark.parametrize(("gold", "said"), RIGHT.values(), ids=RIGHT)
def test_the_gold_answer_itself_is_right_however_it_is_dressed(gold: str, said: str) -> None:
    assert grade_answer(boxed(gold), gold).correct
    assert grade_answer(boxed(f"${gold}$"), gold).correct or gold.startswith("$")


UNBOXED = {
    "A3-layout-with-new-lines": ("<think>\nx\n</think>\n<answer>\n24\n</answer>", True, "answered"),
    "A4-guess": ("I guess 24", False, "abstained"),
    "A4-not": ("the answer is not 24", False, "abstained"),
    "A4-cut-off-at-a-step": ("Step 22. Step 23. Step 24", False, "abstained"),
    "A6-two-blocks-that-differ": (r"<answer>\boxed{7}</answer><answer>\boxed{24}</answer>", False, "abstained"),
    "answer-in-an-unclosed-thought": (r"<think>\boxed{24}", False, "truncated"),
    "answer-in-a-thought": (r"<think>\boxed{24}</think><answer>\boxed{7}</answer>", False, "answered"),
    "another-answer-in-a-thought": (r"<think><answer>7</answer></think><answer>\boxed{24}</answer>", True, "answered"),
    "marker": ("So the answer is 24.", True, "answered"),
    "empty": ("", False, "abstained"),
}


@pytest.mark.parametrize(("response", "correct", "status"), UNBOXED.values(), ids=UNBOXED)
def test_a_response_is_graded_by_the_answer_that_it_gives(response: str, correct: bool, status: str) -> None:
    grade = grade_answer(response, "24")
    assert (grade.correct, grade.status) == (correct, status)


NUMBERS = {"A": "24", "B": "30", "C": r"2 \sqrt { 221 }"}


@pytest.mark.parametrize("gold", ["B", "(B)", "30", "B. 30"])
@pytest.mark.parametrize(
    ("response", "correct"),
    [(r"\boxed{B}", True), (r"\boxed{30}", True), ("B. 30", True), (r"\boxed{A}", False), (r"\boxed{24}", False)],
)
def test_with_choices_letter_and_text_are_the_same(response: str, correct: bool, gold: str) -> None:
    assert grade_answer(response, gold, choices=NUMBERS) == Grade(correct, "answered", "letter")


def test_a_formula_among_the_choices_is_known_by_its_value() -> None:
    assert grade_answer(r"\boxed{2\sqrt{221}}", "C", "letter", choices=NUMBERS).correct
    assert not grade_answer(r"\boxed{221}", "C", "letter", choices=NUMBERS).correct


@pytest.mark.parametrize(
    ("said", "gold", "kind", "precision", "correct"),
    [
        pytest.param("0.83", "0.8", "float", 1.0, True, id="hub-stores-precision-as-a-float"),
        pytest.param("0.86", "0.8", "float", 1.0, False, id="rounds-to-another"),
        pytest.param("0.85", "0.8", "float", 1, True, id="a-half-goes-either-way"),
        pytest.param("0.83", "0.83", "float", 1.0, True, id="gold-finer-than-asked"),
        pytest.param("1.414", "1.41", "float", 2.0, True, id="finer-than-the-gold"),
        pytest.param(r"\sqrt{2}", "1.41", "float", 2.0, True, id="exact-value-of-a-rounded-gold"),
        pytest.param("14.2%", "14.2", "float", None, True, id="percent-as-figure"),
        pytest.param("0.142", "14.2%", "math", None, True, id="share-of-a-percentage"),
        pytest.param("35.6", "36", "float", None, False, id="no-places-known-is-exact"),
        pytest.param("3", "3.0", "float", float("nan"), True, id="precision-missing"),
        pytest.param("[0.51, 1.2]", "[0.5, 1.2]", "list", 1.0, True, id="list-to-precision"),
        pytest.param("14.2", "14", "integer", None, False, id="no-integer"),
        pytest.param("two", "2", "integer", None, True, id="integer-in-words"),
        pytest.param(r"\infty", "∞", None, None, True, id="infinity-in-two-spellings"),
        pytest.param("1", "yes", "yes_no", None, False, id="a-digit-is-no-yes"),
        pytest.param("Yes", "1", "yes_no", None, True, id="gold-as-a-digit"),
        pytest.param("NO", "0", "yes_no", None, True, id="gold-zero"),
        pytest.param("12", "12", "text", None, True, id="text-of-digits"),
        pytest.param("6:30", "6:30", "text", None, True, id="clock"),
    ],
)
def test_types_are_compared_by_their_own_rule(
    said: str, gold: str, kind: object, precision: float | None, correct: bool
) -> None:
    assert grade_answer(boxed(said), gold, kind, precision).correct is correct  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        *((gold, "integer") for gold in ("14", "-3", "1,450", "$7$", r"\boxed{7}")),
        *((gold, "float") for gold in ("35.9", ".5", "1,450.25")),
        *((gold, "list") for gold in ("[1, 2]", "['a']", "A, C", "3, 4")),
        *((gold, "letter") for gold in ("A", "(C)", "D.")),
        *((gold, "yes_no") for gold in ("yes", "No", "True")),
        *((gold, "math") for gold in (r"2 \sqrt { 221 }", r"8 \pi", "(3, 4)", "24 cm", "x = 5", "45°", "2x", "3/4")),
        *((gold, "text") for gold in ("equilateral triangle", "red", "Paris")),
    ],
)
def test_the_gold_says_its_type(gold: str, kind: str) -> None:
    assert infer_type(gold) == kind


ADVERSARIES = {
    "tower": "10^9^9",
    "tower-in-braces": "2^{2^{2^{2^{2^{2}}}}}",
    "powers-of-powers": "((((2^{60})^{60})^{60})^{60})",
    "many-letters": "(a+b+c+d+e+f)^{16}",
    "digits": "9" * 1900,
    "100-kB-of-digits": "9" * 100_000,
    "long-radicand": r"\sqrt{" + "9" * 150 + "}",
    "hard-radicand": r"\sqrt{999999000001}",
    "roots-of-roots": r"\sqrt{" * 300 + "2" + "}" * 300,
    "brackets": "(" * 900 + "1" + ")" * 900,
    "braces": "{" * 900 + "1" + "}" * 900,
    "signs": "-" * 1900 + "5",
    "fractions": r"\frac{1}{1+" * 150 + "1" + "}" * 150,
    "sum": "+".join(f"\\sqrt{{{n}}}" for n in range(2, 200)),
    "product": "*".join(f"(1+\\sqrt{{{n}}})" for n in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)),
    "small-decimals": "0." + "0" * 190 + "1",
    "negative-power": "0^{-1}",
    "commas": "," * 1900,
    "equals": "=" * 1900,
    "units": "5 " + "cm " * 600,
    "code": "__import__('os').system('true')",
    "other-digits": "٣٤",
    "superscripts": "5²³",
    "control": "5\x00\x01",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("said", ADVERSARIES.values(), ids=ADVERSARIES)
@pytest.mark.parametrize("gold", ["5", "0.5", r"2 \sqrt { 221 }", "[1, 2]", "red"])
def test_no_answer_takes_long_or_fails(said: str, gold: str) -> None:
    assert not grade_answer(boxed(said), gold).correct


def test_a7_threads_grade_as_the_main_thread_does() -> None:
    tasks = [(boxed(said), gold, True) for gold, said in RIGHT.values()]
    tasks += [(boxed(said), gold, False) for gold, said in WRONG.values()]
    with ThreadPoolExecutor(8) as threads:
        grades = list(threads.map(lambda task: grade_answer(task[0], task[1]).correct, tasks * 5))
    assert grades == [correct for *_, correct in tasks] * 5


def test_nothing_is_imported_to_evaluate_what_a_model_wrote() -> None:
    code = (
        "import sys; from perception_r1.evaluate import grade_answer as g; g('\\\\boxed{\\\\frac{1}{2}}', '0.5'); "
        "sys.exit(bool({'sympy', 'math_verify', 'latex2sympy2_extended'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_arithmetic_on_surds_agrees_with_floating_point() -> None:
    chance = random.Random(0)
    for _ in range(300):
        a, b, c = (chance.randint(1, 400) for _ in range(3))
        exact = (root(rational(a), 2) + rational(Fraction(b, c))) / (root(rational(b), 2) + rational(c))
        assert exact.approximate is not None
        assert float(exact.approximate) == pytest.approx((a**0.5 + b / c) / (b**0.5 + c), rel=1e-12)
        assert exact * (root(rational(b), 2) + rational(c)) == root(rational(a), 2) + rational(Fraction(b, c))


@pytest.mark.parametrize(("number", "square", "rest"), [(884, 2, 221), (72, 6, 2), (49, 7, 1), (2 * 101**2, 101, 2)])
def test_a_root_is_simplified(number: int, square: int, rest: int) -> None:
    assert root(rational(number), 2) == Exact((((rest, ()), Fraction(square)),))


@pytest.mark.parametrize("number", [Exact(()), rational(-4), symbol("x"), rational(10**12 + 39)])
def test_a_root_that_is_no_exact_number_is_refused(number: Exact) -> None:
    if number == Exact(()):
        assert root(number, 2) == number
        return
    with pytest.raises(Unreadable):
        root(number, 2)


PLAIN = ["7", "-7", "+7", "007", "0", "35.90", "-0.5", "20/3", "-20 / 3", r"\frac{20}{3}", r"-\dfrac { 40 } { 6 }"]


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_number_is_read_without_the_parser_as_by_it(text: str) -> None:
    assert read(text) == read(f"({text})") is not None
    assert read(f"x = {text}") == read(f"x = ({text})") is not None


@pytest.mark.parametrize("text", ["", "no idea", "24 or 7", "5 6", "1..2", "3 + ", r"\frac{1}", "x ->", "5 cm 6 m"])
def test_what_is_not_understood_is_not_read(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("said", "gold", "kind", "precision", "correct"),
    [
        pytest.param("0.3335", "0.3333", "float", 0.001, True, id="dynamath-inside-its-tolerance"),
        pytest.param("0.335", "0.3333", "float", 0.001, False, id="dynamath-outside"),
        pytest.param("0.3343", "0.3333", "float", 0.001, True, id="the-tolerance-itself"),
        pytest.param("7.5005", "7.5", "float", 0.001, True, id="beyond-the-gold's-places"),
        pytest.param(r"\frac{1}{3}", "0.3333", "float", 0.001, True, id="a-fraction-near-enough"),
        pytest.param("0", "0.5", "float", 0.001, False, id="a-tolerance-is-not-zero-places"),
        pytest.param("0.333", r"\frac{1}{3}", "math", 2.0, True, id="a-set-that-compares-two-decimals"),
        pytest.param("0.333", r"\frac{1}{3}", "math", None, False, id="no-set-no-rounding"),
        pytest.param("14.3", "14", "integer", 1.0, False, id="an-integer-has-no-decimals"),
    ],
)
def test_a_set_says_how_near_is_right(said: str, gold: str, kind: str, precision: float | None, correct: bool) -> None:
    assert grade_answer(boxed(said), gold, kind, precision).correct is correct


@pytest.mark.parametrize(
    ("kind", "gold", "said"),
    [
        ("coordinates", "(3, -4)", "(3,-4)"),
        ("percent", "50%", "0.5"),
        ("units", "24 cm", "24"),
        ("surds", r"2 \sqrt { 221 }", r"\sqrt{884}"),
        ("yes/no", "yes", "Yes"),
        ("choice", "B", "(B)"),
    ],
)
def test_a_type_may_be_called_what_people_call_it(kind: str, gold: str, said: str) -> None:
    assert grade_answer(boxed(said), gold, kind).correct


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PerceptionError, match="answer type 'flaot' is unknown; known: integer, float, list"):
        grade_answer(boxed("1"), "1", "flaot")


@pytest.mark.parametrize(("gold", "response"), [(5, r"\boxed{5}"), (0.5, r"\boxed{0.50}"), (True, r"\boxed{yes}")])
def test_a_gold_that_is_a_number_is_graded_as_it_is_written(gold: float, response: str) -> None:
    assert grade_answer(response, gold).correct
    assert not grade_answer(r"\boxed{7}", gold).correct


@pytest.mark.parametrize("gold", [None, ["5"], b"5"])
def test_a_gold_that_is_no_answer_is_refused(gold: Any) -> None:
    with pytest.raises(PerceptionError, match=r"the gold answer is .*; it must be text or a number"):
        grade_answer(r"\boxed{5}", gold)
