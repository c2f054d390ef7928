"""Hygiene on recorded chains of thought in real style: nine languages, LaTeX, Markdown, deductions mixed in."""

from collections import Counter

import pytest

from perception_r1 import sections
from perception_r1.annotate.arithmetic import follows
from perception_r1.annotate.context import clauses, is_concluded, worked_out
from perception_r1.annotate.extract import Found
from perception_r1.annotate.hygiene import clean
from perception_r1.annotate.statements import key_of
from perception_r1.records import Annotation, Problem, Trajectory
from tests.recorded_cot import Recorded, recorded

RECORDED = list(recorded())


def cleaned(one: Recorded) -> dict[str, str]:
    """Why each statement of a recorded chain of thought is dropped; nothing if it stays."""
    problem = Problem("p", (), f"<image>{one.question}", "1", "math", "test", "p", "train")
    said = Trajectory("p/0", "p", 0, one.response, "1", True, "", 1, 0.0)
    found = [Found("p", "p/0", text, kind) for _, text, kind in one.statements]
    annotations: list[Annotation] = clean([problem], [said], found, sections.Annotate(), "origin")
    return {annotation.text: annotation.dropped for annotation in annotations}


def test_the_recorded_set_is_what_it_should_be() -> None:
    assert len(RECORDED) >= 60
    assert len({one.language for one in RECORDED}) >= 8
    labels = Counter(label for one in RECORDED for label, _, _ in one.statements)
    assert min(labels["seen"], labels["deduced"]) >= 100
    assert labels["stated"] >= 30
    assert all(text not in one.question for one in RECORDED for label, text, _ in one.statements if label == "seen")


@pytest.mark.parametrize(
    ("name", "removed", "kept"),
    [
        pytest.param("cot.txt", 0.95, 0.95, id="that-the-rules-were-made-from"),
        pytest.param("later.txt", 0.90, 0.95, id="that-they-were-made-more-general-with"),
        pytest.param("dev.txt", 0.50, 0.95, id="that-say-no-therefore"),
        pytest.param("locked.txt", 0.70, 0.95, id="that-no-rule-was-made-from"),
    ],
)
def test_planted_facts_of_the_question_and_deductions_go_and_what_is_seen_stays(
    name: str, removed: float, kept: float
) -> None:
    right, all_of = Counter[str](), Counter[str]()
    for one in recorded(name):
        got = cleaned(one)
        for label, text, _ in one.statements:
            what = "kept" if label == "seen" else "removed"
            all_of[what] += 1
            right[what] += (got[text] == "") is (what == "kept")
    assert right["removed"] / all_of["removed"] >= removed
    assert right["kept"] / all_of["kept"] >= kept


@pytest.mark.parametrize(
    ("number", "known", "does"),
    [
        (70, {50, 60}, True),
        (13, {5, 12}, True),
        (145, {35}, True),
        (20, {14, 6}, True),
        (11, {14, 8}, True),
        (31, {14, 6, 11}, True),
        (17, {5, 12, 40}, True),
        (23, {5, 12}, False),
        (7, set(), False),
    ],
)
def test_a_number_follows_from_what_people_reckon_with(number: float, known: set[float], does: bool) -> None:
    assert follows(number, known) is does


def test_an_unseen_number_behind_reasoning_that_follows_from_those_before_it_is_concluded() -> None:
    told = clauses("Angle A is 50 and angle B is 60. The sum is 180. Angle C is 70.")
    assert is_concluded(key_of("Angle C is 70"), told)
    assert not is_concluded(key_of("Angle B is 60"), told)
    listed = clauses("Bar A is 4. Bar B is 6. Bar C is 10.")
    assert not is_concluded(key_of("Bar C is 10"), listed), "without reasoning it was seen"


@pytest.mark.parametrize(
    ("thought", "answer", "made"),
    [
        pytest.param("OA is 10. AM is 8 long. The remaining leg OM is 6.", 6, {6}, id="the-answer"),
        pytest.param(
            "A is 3 cm off. B is 4 cm off. The whole road is 7 cm. In reality this is 49 km.",
            49,
            {7, 49},
            id="on-the-way",
        ),
        pytest.param(
            "A is 3 cm off. B is 4 cm off. The whole road is 7 cm. In reality this is 49 km.", 3, set(), id="read-off"
        ),
        pytest.param("Class A has 24, B has 31, C has 55 pupils.", 55, set(), id="listed"),
        pytest.param("Bar A: 24. Bar B: 31. Bar C: 55.", 55, set(), id="bare"),
        pytest.param(
            "R is 4 ohm here. S is 6 ohm here. The battery is 20 volt. Both are 10 ohm.", 10, {10}, id="unneeded"
        ),
        pytest.param("OA is 10. AM is 8 long. The leg OM is labelled 6.", 6, set(), id="seen"),
        pytest.param(" ".join(f"The thing n{n} is {n} long." for n in range(3, 2000)), 1999, None, id="long"),
    ],
)
def test_the_end_of_a_thought_that_follows_from_its_beginning_is_worked_out(
    thought: str, answer: float, made: set[float] | None
) -> None:
    found = worked_out(clauses(thought), frozenset(), frozenset({float(answer)}))
    assert made is None or found == made


def test_a_unit_that_nobody_knows_does_not_hide_a_deduction() -> None:
    said = clauses("An der Spitze A steht 40. BC hat die Länge 7. Der Rest von 140 Gon bleibt beiden.")
    assert is_concluded(key_of("Der Rest ist 140 Gon"), said, made=frozenset({140.0}))
    assert not is_concluded(key_of("Der Rest ist 140 Gon"), said)


def test_a_statement_of_the_question_is_named_as_such() -> None:
    reasons = Counter(cleaned(one)[text] for one in RECORDED for label, text, _ in one.statements if label == "stated")
    assert reasons.most_common(1)[0][0] == "stated in the question"
    assert reasons["stated in the question"] >= 30


@pytest.mark.parametrize(
    ("thought", "fact", "concluded"),
    [
        ("AB is 5.", "AB = 5", False),
        ("AC = 12, so AB = 5.", "AB = 5", True),
        ("AC = 12, so AB = 5.", "AC = 12", False),
        ("Since AC = 12, AB = 5.", "AC = 12", False),
        ("Since AC = 12, AB = 5.", "AB = 5", True),
        ("BD = 5 because D halves BC.", "BD = 5", True),
        ("AB = 13 - 8 = 5.", "AB = 5", True),
        ("AB = 13 - 8 = 5.", "AC = 8", False),
        ("So I look at the picture again: AB is labelled 5.", "AB = 5", False),
        ("AB is 5. Therefore AB = 5.", "AB = 5", False),
        ("7 + 8 = 15. The total length is 15.", "The total length is 15.", True),
        ("The label says 3x + 5. Hence x = 5.", "x = 5", True),
        ("所以AB = 5。", "AB = 5", True),
        ("从图中可以看到AB = 5。", "AB = 5", False),
        ("Nothing of it.", "AB = 5", False),
        ("", "AB = 5", False),
    ],
)
def test_the_chain_of_thought_tells_what_was_concluded(thought: str, fact: str, concluded: bool) -> None:
    assert is_concluded(key_of(fact), clauses(f"<think>{thought}</think><answer>AB = 5</answer>")) is concluded


def test_long_texts_take_no_time_that_explodes() -> None:
    for text in ("a" * 50_000, "so " * 20_000, "( " * 20_000, "1 + " * 20_000, "=" * 20_000, "A rectangle " * 5_000):
        assert isinstance(is_concluded(key_of("AB = 5"), clauses(text)), bool)
