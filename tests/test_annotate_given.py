"""Annotations without a proprietary model: Geometry3K's own logic forms, and those that a data set brings."""

from collections.abc import Sequence

import pytest

from perception_r1 import sections
from perception_r1.annotate.assembly import from_given
from perception_r1.annotate.funnel import Tally, picture
from perception_r1.annotate.given import given_statements
from perception_r1.annotate.logic_forms import UnknownForm, said
from perception_r1.annotate.problems import Given, GivenKind
from perception_r1.annotate.quality import form_truth, measured
from perception_r1.annotate.statements import key_of, type_of
from perception_r1.annotate.trajectories import given_trajectories
from perception_r1.records import Annotation, FactType, Problem


@pytest.mark.parametrize(
    ("form", "text", "kind"),
    [
        ("Equals(LengthOf(Line(T, R)), x+21)", "TR is x+21.", "length"),
        ("Equals(LengthOf(Line(A,B)), 2(x+1))", "AB is 2(x+1).", "length"),
        (r"Equals(LengthOf(Line(A, C)),3\sqrt{2})", r"AC is 3\sqrt{2}.", "length"),
        ("Equals(MeasureOf(Angle(T, R, S)), 4y-10)", "Angle TRS is 4y-10.", "angle"),
        ("Equals(MeasureOf(Angle(C, B, A)), 60)", "Angle CBA is 60 degrees.", "angle"),
        ("Equals(MeasureOf(angle 1), 40)", "Angle 1 is 40 degrees.", "angle"),
        ("Equals(MeasureOf(Angle(A,B,C)), MeasureOf(angle 13))", "Angle ABC and angle 13 are equal.", "angle"),
        ("Equals(MeasureOf(Arc(A,B)), 120)", "Arc AB is 120 degrees.", "angle"),
        ("Equals(LengthOf(Line(A,B)),LengthOf(Line(B,C)))", "AB and BC are equal.", "length"),
        ("Equals(RadiusOf(Circle(O, radius_0_0)), 5)", "The radius of circle O is 5.", "length"),
        ("Perpendicular(Line(C, A), Line(C, B))", "CA is perpendicular to CB.", "relation"),
        ("Parallel(Line(A,B),Line(C,D))", "AB is parallel to CD.", "relation"),
        ("PointLiesOnLine(D, Line(A, B))", "Point D lies on AB.", "position"),
        ("PointLiesOnCircle(A, Circle(O, radius_0_0))", "Point A lies on circle O.", "position"),
        ("Triangle(A,B,C)", "There is a triangle ABC.", "existence"),
        ("BisectsAngle(Line(A,D), Angle(B,A,C))", "AD bisects angle BAC.", "relation"),
        ("IntersectAt(Line(A,B),Line(C,D),Point(E))", "AB and CD meet at point E.", "position"),
        ("Isosceles(Triangle(A,B,C))", "Triangle ABC is isosceles.", "attribute"),
    ],
)
def test_a_logic_form_is_said_in_words(form: str, text: str, kind: FactType) -> None:
    assert said(form) == (text, kind)


@pytest.mark.parametrize(
    "form",
    [
        "", "(", "Equals(", "Equals()", "Equals(LengthOf(Line(A,B)))", "Foo(A)", "Shaded(Shape($))",
        "Equals(RadiusOf(Circle(O, radius_0_0)), radius_0_0)", "Perpendicular(Line(A,B))", "Line(A,B) and more(",
        "Equals(LengthOf(Line(A,B)), 5) trailing", "Perpendicular" * 500 + "(" * 500, "Line(" * 5_000,
        "Perpendicular(Line(B, A), Line(B, point_3))", "PointLiesOnLine(point_3, Line(A, B))",
        "Equals(MeasureOf(Angle(A, point_3, B)), 30)",
    ],
)  # fmt: skip
def test_a_form_that_is_not_known_is_never_guessed_at(form: str) -> None:
    with pytest.raises(UnknownForm):
        said(form)


def problem(question: str = "Find x.") -> Problem:
    return Problem("p", (), f"<image>{question}", "5", "integer", "s", "g", "train")


def given(kind: GivenKind, *texts: str) -> list[Given]:
    return [Given("p", kind, number, text) for number, text in enumerate(texts)]


def annotated(
    told: Sequence[Given], question: str = "Find x.", tally: Tally | None = None, **said: object
) -> list[Annotation]:
    settings = sections.Annotate(origin="logic_forms", min_support=2, **said)  # type: ignore[arg-type]
    return from_given(problem(question), told, settings, "logic_form", tally or Tally())


def test_logic_forms_become_annotations_that_need_no_support() -> None:
    forms = given("logic_form", "Equals(LengthOf(Line(A, B)), 12)", "Perpendicular(Line(C, A), Line(C, B))")
    made = annotated(forms)
    assert [(a.id, a.text, a.type, a.origin, a.dropped) for a in made] == [
        ("p#0", "AB is 12.", "length", "logic_form", ""),
        ("p#1", "CA is perpendicular to CB.", "relation", "logic_form", ""),
    ]
    assert {(a.support, a.trajectories) for a in made} == {(1, 1)}


def test_what_the_question_says_is_dropped_from_logic_forms_too() -> None:
    made = annotated(given("logic_form", "Equals(LengthOf(Line(A, B)), 12)"), "AB is 12. Find x.")
    assert [a.dropped for a in made] == ["stated in the question"]


def test_a_form_of_the_diagram_is_no_deduction_whatever_its_words() -> None:
    assert annotated(given("logic_form", "Isosceles(Triangle(A,B,C))", "Square(A,B,C,D)"))[1].dropped == ""


def test_unknown_forms_are_counted() -> None:
    tally = Tally()
    annotated(given("logic_form", "Foo(A)", "Equals(LengthOf(Line(A, B)), 12)"), tally=tally)
    steps = dict(tally.steps())
    assert steps["annotations dropped: unknown logic form"] == 1
    assert (steps["annotations"], steps["annotations kept"]) == (2, 1)


def test_ready_annotations_keep_their_words_and_get_a_type() -> None:
    found, unknown = given_statements(given("annotation", "AB = 5", "  Angle ABC is\n30 degrees. ", "A dog sleeps."))
    assert [(one.text, one.type) for one in found] == [
        ("AB = 5", "length"),
        ("Angle ABC is 30 degrees.", "angle"),
        ("A dog sleeps.", "other"),
    ]
    assert unknown == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("AB is parallel to CD.", "relation"),
        ("Point E lies on AC.", "position"),
        ("The angle is labelled x.", "angle"),
        ("The side is labelled x.", "label"),
        ("The title reads 'Sales'.", "text"),
        ("There are 4 tickets.", "count"),
    ],
)
def test_the_type_of_a_statement_is_read_off_it(text: str, kind: FactType) -> None:
    assert type_of(text) == kind


def test_responses_of_a_data_set_are_graded_and_cost_nothing() -> None:
    told = [Given("a", "response", 0, "right"), Given("a", "response", 1, "wrong"), Given("c", "response", 0, "right")]
    problems = [Problem(name, (), "?", "5", "integer", "s", "g", "train") for name in "abc"]
    made = list(given_trajectories(problems, told, lambda text, problem: ("5", text == "right")))
    assert [(t.id, t.dropped, t.tokens) for t in made] == [("a/0", "", 0), ("a/1", "wrong answer", 0), ("c/0", "", 0)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("AB is perpendicular to CD.", "CD ⊥ BA", True),
        ("AB and CD are equal.", "CD and AB are equal.", True),
        ("AB is tangent to circle O.", "Circle O is tangent to AB.", True),
        ("AB bisects CD.", "CD bisects AB.", False),
        ("Point A lies on BC.", "Point B lies on AC.", False),
    ],
)
def test_a_relation_that_has_no_direction_is_the_same_both_ways(one: str, other: str, same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same


def test_quality_against_logic_forms_knows_what_it_cannot_know() -> None:
    truth = form_truth(
        [
            *given("logic_form", "Equals(LengthOf(Line(A, B)), 12)", "Perpendicular(Line(C, A), Line(C, B))", "Foo(A)"),
            *given("response", "AB is 99."),
        ]
    )
    assert truth == {"p": (("AB is 12.", "length"), ("CA is perpendicular to CB.", "relation"))}
    texts: list[tuple[str, FactType]] = [
        ("BA = 12", "length"), ("AB is 13.", "length"), ("CB ⊥ CA", "relation"), ("EF is 7.", "length"),
    ]  # fmt: skip
    kept = [Annotation(f"p#{n}", "p", text, kind, 1, 1, "", "o") for n, (text, kind) in enumerate(texts)]
    got = measured(truth, kept)
    assert (got.annotations, got.right, got.wrong, got.coverage) == (4, 2, 1, 1.0)
    by_type = {row.type: row for row in got.by_type}
    assert list(by_type) == ["all", "length", "relation"]
    assert (by_type["length"].precision, by_type["length"].recall) == (0.5, 1.0)
    low, high = by_type["all"].precision_low, by_type["all"].precision_high
    assert (low, high) == (pytest.approx(0.2077, abs=1e-4), pytest.approx(0.9385, abs=1e-4))  # Wilson, 2 of 3


def test_the_funnels_picture_has_a_bar_for_each_step_and_escapes_what_it_says() -> None:
    svg = picture([("problems", 4), ("annotations dropped: <b>", 1), ("annotations kept", 0)])
    assert svg.count("<text") == 6
    assert "&lt;b&gt;" in svg
    assert "<b>" not in svg
