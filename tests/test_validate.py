"""The gold set's labels hold by construction, the metrics by hand, and the gates stop every weak judge."""

from collections.abc import Sequence

import numpy as np
import pytest
from saying import Saying, user
from statsmodels.stats.inter_rater import cohens_kappa

from perception_r1 import sections
from perception_r1.compare import judge_agreement
from perception_r1.endpoints import Request
from perception_r1.errors import GateFailed, PerceptionError, TimedOut
from perception_r1.judges import Judge, match, perception_part
from perception_r1.judges.llm import MAX_CHARACTERS
from perception_r1.records import Annotation, Judgement, Problem, Trajectory, Verdict
from perception_r1.validate import (
    GoldVerdict,
    JudgeMetrics,
    check,
    gates,
    gold_set,
    judge_metrics,
    judged,
    misjudged,
    with_verdicts,
)
from perception_r1.validate.facts import fact
from perception_r1.validate.slices import SLICES
from perception_r1.world.charts import problems, tasks
from perception_r1.world.demonstrator import demonstration
from perception_r1.world.judge import reply as embedded
from perception_r1.world.judge import weak_reply

LIMITS = sections.Validate(max_probe=0.05)  # 30 problems have 70 verdicts in a family of probes
World = tuple[list[Problem], list[Annotation], list[Trajectory]]


def annotation(problem: str, number: int, text: str, dropped: str = "") -> Annotation:
    return Annotation(f"{problem}-a{number}", problem, text, "length", 3, 3, dropped, "test")


def world(count: int) -> World:
    """Chart problems with their facts and one exact trajectory each."""
    made, done = list(problems("train", count, 0)), list(tasks("train", count, 0))
    facts = [annotation(p.id, i, f) for p, t in zip(made, done, strict=True) for i, f in enumerate(t.facts)]
    told = [demonstration(t, lazy=False) for t in done]
    texts = [
        Trajectory(f"{p.id}-t", p.id, 0, text, p.answer, True, "", 30, 0.0) for p, text in zip(made, told, strict=True)
    ]
    return made, facts, texts


@pytest.fixture(scope="module")
def gold() -> list[GoldVerdict]:
    return gold_set(*world(30), count=30, seed=0)


def problem(id: str, question: str = "What is x?") -> Problem:
    return Problem(id, (b"",), f"<image>{question}", "3", "integer", "test", id, "train")


def geometry(*texts: str, question: str = "What is x?") -> list[GoldVerdict]:
    """The gold set on one geometry problem with these annotations."""
    facts = [annotation("g", number, text) for number, text in enumerate(texts)]
    return gold_set([problem("g", question)], facts, [], count=9, seed=0)


def rows(gold: Sequence[GoldVerdict], slice: str) -> list[GoldVerdict]:
    return [row for row in gold if row.slice == slice]


def test_the_same_seed_makes_the_same_gold_and_another_seed_another() -> None:
    made = world(12)
    assert gold_set(*made, count=5, seed=1) == gold_set(*made, count=5, seed=1)
    assert gold_set(*made, count=5, seed=1) != gold_set(*made, count=5, seed=2)
    assert len({row.problem for row in gold_set(*made, count=5, seed=1)}) == 5


def test_every_slice_occurs_and_every_id_is_unique(gold: list[GoldVerdict]) -> None:
    assert {row.slice for row in gold} == set(SLICES) - {"turned", "denied or supposed"}, "charts have numbers only"
    assert len({row.id for row in gold}) == len(gold)


@pytest.mark.parametrize(
    ("slice", "labels"),
    [
        ("own words", {"supported"}),
        ("restated", {"supported"}),
        ("reworded", {"supported"}),
        ("corrected", {"supported"}),
        ("number changed", {"supported", "contradicted"}),
        ("number changed, reworded", {"supported", "contradicted"}),
        ("numbers swapped", {"contradicted"}),
        ("sentence removed", {"supported", "absent"}),
        ("negated", {"supported", "contradicted"}),
        ("hedged", {"supported", "absent"}),
        ("two values", {"supported", "contradicted"}),
        ("retracted", {"contradicted"}),
        ("other problem", {"contradicted", "absent"}),
        ("probe: enumeration 1..9", {"contradicted"}),
    ],
)
def test_a_slice_has_its_labels(gold: list[GoldVerdict], slice: str, labels: set[str]) -> None:
    assert {row.label for row in rows(gold, slice)} == labels


def test_every_probe_but_the_enumeration_states_nothing(gold: list[GoldVerdict]) -> None:
    probes = [row for row in gold if row.slice.startswith("probe: ") and "enumeration" not in row.slice]
    assert {row.label for row in probes} == {"absent"}
    pasted = {"probe: facts as the judge gets them", "probe: beyond the length limit"}
    for row in probes:
        stands = row.text.rstrip(".") in (perception_part(row.response) or "")[:MAX_CHARACTERS]
        assert not stands or row.slice in pasted, row


def test_what_is_supported_stands_in_the_thoughts_and_what_was_edited_does_not(gold: list[GoldVerdict]) -> None:
    for row in rows(gold, "number changed") + rows(gold, "sentence removed") + rows(gold, "negated"):
        stands = row.text.rstrip(".") in (perception_part(row.response) or "")
        assert stands == (row.label == "supported"), row
    for row in rows(gold, "own words") + rows(gold, "restated"):
        assert row.text.rstrip(".") in (perception_part(row.response) or ""), row


def test_one_edit_of_one_fact_by_hand() -> None:
    gold = geometry("AB = 5 cm", "Angle ABC is 30°.", "AB is parallel to CD.")
    first = next(row for row in rows(gold, "negated") if row.annotation == "g-a0")
    assert first.response == (
        "<think>AB is not 5 cm. Angle ABC is 30°. AB is parallel to CD.</think>\n<answer>\\boxed{3}</answer>"
    )
    assert (first.label, first.edit) == ("contradicted", "AB is not 5 cm.")
    others = [row.label for row in rows(gold, "negated") if row.response == first.response][1:]
    assert others == ["supported", "supported"]
    removed = [row for row in rows(gold, "sentence removed") if row.label == "absent"]
    assert [row.text for row in removed] == ["AB = 5 cm", "Angle ABC is 30°.", "AB is parallel to CD."]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Bar A is 7.", ("Bar A", " is ", "7", "")),
        ("AB = 5 cm", ("AB", " = ", "5", " cm")),
        ("Angle 1 is 30°.", ("Angle 1", " is ", "30", "°")),
        ("AB=2.5", ("AB", "=", "2.5", "")),
        ("AB is parallel to CD.", ("", "", "", "")),
        ("AB = 5\\sqrt{2}", ("", "", "", "")),
        ("AB = 5x^2", ("", "", "", "")),
    ],
)
def test_only_a_number_that_can_be_changed_is_taken_apart(text: str, parts: tuple[str, ...]) -> None:
    made = fact("f", text)
    assert (made.subject, made.verb, made.number, made.tail) == parts


def test_a_fact_without_a_number_is_only_in_slices_that_work_for_it() -> None:
    gold = geometry("AB is parallel to CD.")
    edits = {row.slice for row in gold if not row.slice.startswith("probe: ")}
    assert edits == {"restated", "sentence removed", "turned", "denied or supposed"}
    assert {row.edit for row in rows(gold, "turned")} == {"AB is perpendicular to CD."}
    assert {row.edit for row in rows(gold, "denied or supposed")} == {
        "AB is not parallel to CD.",
        "Maybe AB is parallel to CD.",
    }


SIGHTS = (
    ("Bar A is red.", "Bar B is green.", "There are 5 bars.", "Bar A is taller than bar B.", "Bar A is 7."),
    ("AB is parallel to CD.", "AB is longer than EF.", "AB = 5 cm", "Angle ABC is 30°.", "Point E is above point F."),
    ("Bar C is the tallest bar.", "Bar A is the leftmost bar.", "Bar A is left of bar C.", "Bar C is blue.", "C = 9"),
    ("AB = 5\\sqrt{2}", "AB is perpendicular to BC.", "AB = CD", "Angle 1 is 45 degrees.", "There are 2 triangles."),
)


@pytest.mark.slow
def test_the_matcher_is_right_wherever_it_decides_on_every_sort_of_fact() -> None:
    """On the gold set of charts and of sights, with another seed for each copy: precision of at least 0.995."""
    right = decided = 0
    for seed in range(12):
        made = [problem(f"p{n}") for n in range(len(SIGHTS))]
        facts = [annotation(f"p{n}", i, text) for n, texts in enumerate(SIGHTS) for i, text in enumerate(texts)]
        for row in [*gold_set(made, facts, [], count=9, seed=seed), *gold_set(*world(4), count=4, seed=seed)]:
            if decision := match(row.text, row.response):
                decided += 1
                right += decision.verdict == row.label
    assert decided > 3000
    assert right / decided >= 0.995


def test_every_sort_of_fact_is_decided_both_ways() -> None:
    for texts in SIGHTS:
        for text in set(texts) - {"AB = 5\\sqrt{2}", "AB = CD"}:  # which no edit turns into another
            told = {(d.verdict, r.label) for r in geometry(text) if (d := match(r.text, r.response))}
            assert told >= {("supported", "supported"), ("contradicted", "contradicted")}, text


def test_what_the_question_states_is_not_called_absent_from_its_copy() -> None:
    copied = rows(geometry("AB = 5 cm", "BC = 7", question="If AB = 5, what is BC?"), "probe: question copied")
    assert [row.text for row in copied] == ["BC = 7"]


def test_another_problems_fact_about_the_same_thing_under_its_other_name_is_not_called_absent() -> None:
    facts = [annotation("p", 0, "EH is 5 cm"), annotation("p", 1, "KL is 4 cm"), annotation("q", 0, "HE = 23")]
    gold = gold_set([problem("p"), problem("q")], facts, [], count=2, seed=0)
    assert [(row.text, row.label) for row in rows(gold, "other problem")] == [("KL is 4 cm", "absent")]


def test_dropped_annotations_and_a_second_value_for_one_subject_are_left_out() -> None:
    facts = [
        annotation("p", 0, "Bar A is 7."),
        annotation("p", 1, "bar a is 5"),
        annotation("p", 2, "Bar B is 2.", "stated"),
    ]
    gold = gold_set([problem("p")], facts, [], count=1, seed=0)
    assert {row.annotation for row in gold} == {"p-a0"}


def test_no_kept_annotation_is_one_clear_line() -> None:
    with pytest.raises(PerceptionError, match="none of 1 problems has an annotation that was kept; annotate more"):
        gold_set([problem("p")], [annotation("p", 0, "Bar A is 7.", "deduced")], [], count=1, seed=0)


def table(*cells: Sequence[int], problems: int = 1) -> tuple[list[GoldVerdict], list[Judgement]]:
    """Gold and judgements whose confusion is the cells, dealt out to so many problems."""
    verdicts: tuple[Verdict, ...] = ("supported", "contradicted", "absent", "unknown")
    gold, told = [], []
    for label, row in zip(("supported", "contradicted", "absent"), cells, strict=True):
        for verdict, count in zip(verdicts, row, strict=True):
            for _ in range(count):
                place = f"{len(gold)}"
                group = f"p{len(gold) % problems}"
                gold.append(GoldVerdict(place, group, "a", "t", "r", label, label, ""))  # type: ignore[arg-type]
                told.append(Judgement(place, verdict, "judge"))
    return gold, told


def test_the_metrics_of_a_table_by_hand() -> None:
    metrics = judge_metrics(*table((40, 2, 6, 2), (1, 27, 2, 0), (3, 0, 16, 1)))
    assert metrics.n == 100
    assert metrics.confusion == ((40, 2, 6, 2), (1, 27, 2, 0), (3, 0, 16, 1))
    assert metrics.accuracy == pytest.approx(0.83)
    assert metrics.sensitivity == pytest.approx(40 / 50)
    assert metrics.false_credit == pytest.approx(4 / 50)
    assert metrics.false_credit_high == pytest.approx(0.19234, abs=1e-5)  # Clopper-Pearson, published tables: 4 of 50
    assert metrics.unknown == pytest.approx(0.03)
    # chance = .50 x .44 + .30 x .29 + .20 x .24 = .355
    assert metrics.kappa == pytest.approx((0.83 - 0.355) / (1 - 0.355))
    # shares .47 .295 .22 .015, four answers: chance = (1 - sum of squares) / 3
    chance = (1 - 0.47**2 - 0.295**2 - 0.22**2 - 0.015**2) / 3
    assert metrics.gwet_ac1 == pytest.approx((0.83 - chance) / (1 - chance))


def test_kappa_and_ac1_agree_with_second_sources() -> None:
    three = judge_metrics(*table((40, 2, 6, 0), (1, 27, 2, 0), (3, 0, 16, 0)))
    assert three.kappa == pytest.approx(cohens_kappa(np.array([[40, 2, 6], [1, 27, 2], [3, 0, 16]])).kappa)
    two = judge_metrics(*table((40, 0, 6, 0), (0, 0, 0, 0), (3, 0, 16, 0)))
    second = judge_agreement(tp=40, fp=3, fn=6, tn=16)
    assert (two.kappa, two.gwet_ac1) == (pytest.approx(second.kappa), pytest.approx(second.gwet_ac1))


def test_kappas_interval_covers_what_an_independent_formula_covers() -> None:
    cells = ((160, 8, 24, 0), (4, 108, 8, 0), (12, 0, 64, 0))
    metrics = judge_metrics(*table(*cells, problems=388))  # as many problems as rows: nothing is clustered
    second = cohens_kappa(np.array([row[:3] for row in cells]))
    assert metrics.kappa_low == pytest.approx(second.kappa_low, abs=0.01)
    assert metrics.kappa_high == pytest.approx(second.kappa_upp, abs=0.01)


def test_the_interval_draws_problems_not_rows() -> None:
    gold, told = table((30, 0, 10, 0), (0, 30, 0, 0), (5, 0, 25, 0), problems=100)
    alone = judge_metrics(gold, told)
    clustered = judge_metrics(*doubled(gold, told, 8))
    assert clustered.kappa == pytest.approx(alone.kappa)
    assert clustered.kappa_high - clustered.kappa_low == pytest.approx(alone.kappa_high - alone.kappa_low, abs=1e-9)


def doubled(gold: list[GoldVerdict], told: list[Judgement], times: int) -> tuple[list[GoldVerdict], list[Judgement]]:
    """Every row so many times in its own problem: no new information."""
    return [row for row in gold for _ in range(times)], [row for row in told for _ in range(times)]


@pytest.mark.parametrize(
    ("cells", "kappa", "ac1"),
    [
        pytest.param(((5, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)), 0.0, 1.0, id="one-answer-is-all-there-is"),
        pytest.param(((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 5)), 0.0, -1.0, id="nothing-known"),
        pytest.param(((2, 0, 0, 0), (0, 2, 0, 0), (0, 0, 2, 0)), 1.0, 1.0, id="all-right"),
    ],
)
def test_degenerate_tables_give_numbers(cells: Sequence[Sequence[int]], kappa: float, ac1: float) -> None:
    metrics = judge_metrics(*table(*cells))
    assert (metrics.kappa, metrics.gwet_ac1) == (pytest.approx(kappa), pytest.approx(ac1))


def test_metrics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="one judgement for each gold verdict is needed, got 0 for 0"):
        judge_metrics([], [])


def metrics_of(gold: list[GoldVerdict], judge: Judge) -> JudgeMetrics:
    return judge_metrics(gold, judged(gold, judge))


def test_the_embedded_judge_passes_the_gate_and_the_matcher_is_never_wrong(gold: list[GoldVerdict]) -> None:
    metrics = metrics_of(gold, Judge(Saying(embedded)))
    assert [gate.says for gate in gates(metrics, LIMITS) if not gate.passed] == []
    assert metrics.matcher_precision is not None and metrics.matcher_precision >= 0.995
    assert 0.3 < metrics.matcher_share < 1
    alone = metrics_of(gold, Judge(Saying(embedded), matcher=False))
    assert [gate.says for gate in gates(alone, LIMITS) if not gate.passed] == []
    assert (alone.matcher_share, alone.matcher_precision) == (0.0, None)


def gullible(request: Request) -> str:
    """A judge that is perfect but for one trick, which it falls for every time."""
    if "All of the facts above hold" not in user(request):
        return embedded(request)
    return embedded(request).replace('"absent"', '"supported"')


@pytest.mark.parametrize(
    ("judge", "failed"),
    [
        pytest.param(
            Judge(Saying(weak_reply), matcher=False), {"kappa", "false_credit", "worst_slice", "probe"}, id="substring"
        ),
        pytest.param(Judge(Saying(gullible)), {"worst_slice", "probe"}, id="one-trick-pays"),
        pytest.param(Judge(Saying(lambda request: "Yes.")), {"kappa", "unknown"}, id="unreadable"),
        pytest.param(
            Judge(Saying(lambda request: TimedOut("60 s")), matcher=False),
            {"kappa", "sensitivity", "unknown"},
            id="dead",
        ),
        pytest.param(
            Judge(Saying(lambda r: embedded(r).replace("absent", "supported").replace("contradicted", "supported"))),
            {"kappa", "false_credit", "worst_slice", "probe", "length"},
            id="says-yes",
        ),
    ],
)
def test_a_weak_judge_fails_with_the_right_reasons(gold: list[GoldVerdict], judge: Judge, failed: set[str]) -> None:
    found = gates(metrics_of(gold, judge), LIMITS)
    assert {gate.name for gate in found if not gate.passed} == failed
    check(found, accepted="a test")
    told = with_verdicts(gold, {judgement.annotation: judgement for judgement in judged(gold, judge)})
    with pytest.raises(GateFailed) as raised:
        check(found, rows=misjudged(told))
    wrong = [row for row in told if row.verdict and (row.verdict == "supported") != (row.label == "supported")]
    assert {row["gold verdict"] for row in raised.value.rows} == {row.id for row in wrong}
    message = str(raised.value)
    assert "\n" not in message
    assert {gate.name for gate in found if gate.says in message} == failed


def test_a_gate_names_what_was_measured_and_its_limit(gold: list[GoldVerdict]) -> None:
    found = gates(metrics_of(gold, Judge(Saying(gullible))), sections.Validate(max_worst_slice=0.02))
    (worst,) = [gate for gate in found if gate.name == "worst_slice"]
    assert worst.says == "worst_slice 1.000, at most 0.02 (what it credits wrongly in 'probe: all facts hold')"
    assert (worst.measured, worst.limit, worst.passed) == (1.0, 0.02, False)
    check([gate for gate in found if gate.passed])


def test_the_judgements_come_in_the_golds_order(gold: list[GoldVerdict]) -> None:
    told = judged(gold, Judge(Saying(embedded)))
    assert [judgement.annotation for judgement in told] == [row.id for row in gold]
