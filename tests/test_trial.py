"""A judge's whole trial: chosen on dev by the rule, tried once on test, asked again, held against people, watched."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from saying import Saying, user
from test_validate import LIMITS, gullible, world

from perception_r1 import sections
from perception_r1.endpoints import Request
from perception_r1.errors import ConfigError, EndpointError, Unreachable
from perception_r1.judges import RUBRICS, Judge
from perception_r1.records import Judgement, Verdict
from perception_r1.table import records_of, table_of
from perception_r1.validate import (
    GoldVerdict,
    HumanLabel,
    JudgedVerdict,
    agreement,
    anchors,
    contenders,
    drift,
    gates,
    gold_set,
    judge_metrics,
    judged,
    majority,
    read_labels,
    repeats,
)
from perception_r1.validate.groups import pair_accuracy, rank_agreement, sign_agreement
from perception_r1.validate.human import kappa
from perception_r1.validate.length import length_slope
from perception_r1.validate.slices import Label
from perception_r1.validate.text import as_text
from perception_r1.validate.trial import Entrant, trial
from perception_r1.world.judge import reply as embedded
from perception_r1.world.judge import weak_reply

GOLD = gold_set(*world(20), count=20, seed=0)
S, C, A, U = "supported", "contradicted", "absent", "unknown"


def row(
    id: str,
    label: Label,
    problem: str = "p",
    annotation: str = "a",
    response: str = "r",
    slice: str = "s",
    arm: str = "",
) -> GoldVerdict:
    edited = slice == "edited"
    return GoldVerdict(id, problem, annotation, "t", response, label, slice, "", arm=arm, edited=edited)


def said(id: str, verdict: Verdict, by: str = "judge") -> Judgement:
    return Judgement(id, verdict, by)


def test_the_splits_share_no_problem_and_are_a_tenth_and_two_halves() -> None:
    by_split = {split: {r.problem for r in GOLD if r.split == split} for split in ("examples", "dev", "test")}
    assert [len(problems) for problems in by_split.values()] == [2, 9, 9]
    assert not by_split["dev"] & by_split["test"]
    (only,) = {r.split for r in gold_set(*world(1), count=1, seed=0)}
    assert only == "test", "where there is one problem, it is for the test"


def test_a_pair_counts_where_the_fact_and_its_edit_are_both_right() -> None:
    gold = [
        row("1", S, slice="restated"),
        row("2", C, slice="edited"),
        row("3", A, slice="edited"),
        row("4", S, annotation="b", slice="restated"),
        row("5", C, annotation="b", slice="edited"),
        row("6", C, annotation="c", slice="edited"),  # no fact that goes with it
    ]
    told = [said("1", S), said("2", C), said("3", S), said("4", A), said("5", C), said("6", C)]
    assert pair_accuracy(gold, told) == pytest.approx(1 / 3)
    assert pair_accuracy(gold[1:3], told[1:3]) is None


def test_the_order_of_a_group_is_compared_by_hand() -> None:
    labels: list[Label] = ["supported", "absent", "contradicted"]  # rewards 1, 0, -1
    gold = [row(str(n), label, response=f"r{n}") for n, label in enumerate(labels)]
    assert rank_agreement(gold, [said(str(n), label) for n, label in enumerate(labels)]) == 1.0
    swapped: Sequence[Verdict] = (A, S, C)  # one of three pairs the other way round: (2 - 1) / 3
    told = [said(str(n), verdict) for n, verdict in enumerate(swapped)]
    assert rank_agreement(gold, told) == pytest.approx(1 / 3)
    assert sign_agreement(gold, told) == pytest.approx(1 / 3)
    assert rank_agreement(gold, [said(str(n), U) for n in range(3)]) is None


def test_the_length_slope_by_hand_and_its_interval() -> None:
    """Each 100 tokens more bring one more wrongly credited fact in ten: 0.1."""
    gold, told = [], []
    for problem in range(40):
        for hundreds in (1, 2, 3):
            for fact in range(10):
                response = f"{'x ' * (100 * hundreds - 1)}{problem}"
                gold.append(row(f"{len(gold)}", "absent", problem=f"p{problem}", response=response))
                told.append(said("", "supported" if fact < hundreds else "absent"))
    slope, low, high = length_slope(gold, told)
    assert slope == pytest.approx(0.1)
    assert low <= slope <= high
    flat = [row(str(n), "absent", response="the same") for n in range(5)]
    assert length_slope(flat, [said("", "absent")] * 5) == (0.0, 0.0, 0.0)


def test_arms_are_told_apart_and_a_judge_that_is_kinder_to_one_fails() -> None:
    gold = [
        row(f"{arm}{n}", "supported" if n % 2 else "absent", arm=arm) for arm in ("base", "ours") for n in range(800)
    ]
    kind = [said(r.id, "supported" if r.arm == "ours" and n % 8 == 0 else r.label) for n, r in enumerate(gold)]
    fair = judge_metrics(gold, [said(r.id, r.label) for r in gold])
    unfair = judge_metrics(gold, kind)
    assert [(arm.arm, arm.sensitivity, arm.specificity) for arm in fair.arms] == [
        ("base", 1.0, 1.0),
        ("ours", 1.0, 1.0),
    ]
    assert unfair.arms[1].specificity == pytest.approx(0.75)

    def failed(metrics: object) -> set[str]:
        return {gate.name for gate in gates(metrics, sections.Validate()) if not gate.passed}  # type: ignore[arg-type]

    assert "arm_gap" not in failed(fair)
    assert "arm_gap" in failed(unfair)


def moody(request: Request) -> str:
    """A judge whose verdict hangs on the first fact that is listed."""
    entries = json.loads(embedded(request))["verdicts"]
    return json.dumps({"verdicts": [{**e, "verdict": S} if e is entries[0] else e for e in entries]})


def test_asking_again_finds_a_judge_that_follows_order_wording_or_company() -> None:
    test = [r for r in GOLD if r.split == "test"]
    steady, swayed = Judge(Saying(embedded)), Judge(Saying(moody))
    for judge, changes in ((steady, False), (swayed, True)):
        found = {each.name: each for each in repeats(test, judged(test, judge), judge, 100)}
        others = [f"reworded: {rubric}" for rubric in RUBRICS if rubric != "judge"]
        assert list(found) == ["again", "reordered", *others, "alone"]
        assert all(each.n > 20 for each in found.values())
        assert found["again"].flips == 0 or changes, "in a smaller batch a listing may be shorter, which sways it too"
        assert (found["reordered"].flips > 0) == (found["alone"].flips > 0) == changes
    told = judged(test, swayed)
    failed = {
        g.name for g in gates(judge_metrics(test, told), LIMITS, repeats(test, told, swayed, 100)) if not g.passed
    }
    assert "order" in failed or "flips_reworded: judge-brief" in failed


def test_a_matcher_that_decides_all_leaves_nothing_to_ask_again() -> None:
    certain = [row("1", S, response="<think>Bar A is 7.</think>")]
    assert repeats(certain, [said("1", S, "matcher")], Judge(Saying(embedded)), 10) == []


NAMES = [("judge", "judge"), ("other", "judge"), ("third", "judge")]


def outcomes(n: int, wrong: Sequence[int]) -> list[Judgement]:
    return [said(str(i), C if i in wrong else S) for i in range(n)]


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        pytest.param([range(0), range(8)], 1, id="significantly-better"),
        pytest.param([range(1, 8), range(8)], 0, id="one-better-is-chance"),
        pytest.param([range(20), range(30)], 0, id="worse"),
        pytest.param([range(1), range(0)], 2, id="the-best-of-two"),
        pytest.param([range(0), range(0)], 1, id="the-first-of-equals"),
    ],
)
def test_the_rule_chooses(others: Sequence[range], chosen: int) -> None:
    gold = [row(str(i), S) for i in range(60)]
    found = contenders(NAMES, gold, [outcomes(60, range(10)), *(outcomes(60, wrong) for wrong in others)])
    assert [number for number, each in enumerate(found) if each.chosen] == [chosen]
    assert found[0].holm == found[0].midp == 1.0
    assert (found[0].right, found[1].only_configured, found[1].only_this) == (
        50,
        max(0, len(others[0]) - 10),
        10 - min(10, len(others[0])) if others[0].start == 0 else 3,
    )


def test_the_better_judge_is_chosen_on_dev_and_only_it_sees_the_test() -> None:
    weak, good = Saying(weak_reply), Saying(embedded)
    entrants = [Entrant("weak", Judge(weak, matcher=False)), Entrant("good", Judge(good))]
    rows, report = trial(GOLD, entrants, LIMITS)
    assert (report["judge"], report["prompt"]) == ("good", "judge")
    assert "rule" in report
    assert [each["chosen"] for each in report["contenders"]] == [False, True]
    test = {r.response for r in GOLD if r.split == "test"} - {r.response for r in GOLD if r.split == "dev"}
    fenced = [user(request) for request in weak.asked]
    assert not [text for text in test if text and any(text in asked for asked in fenced)]
    assert {r.split for r in rows if r.verdict} == {"dev", "test"}


def test_every_gold_verdict_is_kept_beside_the_judges_and_survives_the_store() -> None:
    rows, report = trial(GOLD, [Entrant("judge", Judge(Saying(embedded)))], LIMITS)
    assert [r.id for r in rows] == [r.id for r in GOLD]
    again = records_of(table_of(rows, JudgedVerdict).to_pylist(), JudgedVerdict)
    assert again == rows
    by_model = [r for r in rows if r.decided_by == "judge"]
    assert {(r.model, r.judge, r.prompt_tokens) for r in by_model} == {("saying", report["judge_digest"], 1)}
    assert {r.verdict for r in rows if r.split == "examples"} == {None}
    assert "contenders" not in report and "people" not in report


def test_the_report_is_the_same_run_after_run() -> None:
    first, second = (trial(GOLD, [Entrant("judge", Judge(Saying(embedded)))], LIMITS)[1] for _ in range(2))
    assert first == second


def test_a_judge_that_never_says_a_word_ends_the_trial() -> None:
    dead: EndpointError = Unreachable("m at u cannot be reached")
    with pytest.raises(Unreachable, match="m at u cannot be reached"):
        trial(GOLD, [Entrant("judge", Judge(Saying(lambda _: dead)))], LIMITS)


def test_the_report_as_text_names_every_number_and_gate() -> None:
    text = as_text(trial(GOLD, [Entrant("judge", Judge(Saying(gullible)))], LIMITS)[1])
    assert "Arms: not measured; it takes people's labels of both models' responses: docs/validate.md" in text
    for word in ("kappa", "sensitivity", "specificity", "precision", "f1", "mcc", "gwet_ac1", "pair_accuracy"):
        assert f"\n  {word} " in text
    for word in ("Slices", "Repeats", "Gates", "probe: all facts hold", "reordered", "alone", "p95_s"):
        assert word in text
    assert "FAILED  worst_slice 1.000" in text
    assert "passed  unknown 0.000" in text


HEADER = "response,annotation,label,rater,arm,problem\n"


def labels_of(tmp_path: Path, text: str) -> list[HumanLabel]:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8-sig")
    return read_labels(path)


def test_peoples_labels_are_read_and_their_majority_is_gold(tmp_path: Path) -> None:
    text = HEADER + "".join(
        f'"<think>{"So " * n}bar A.</think>",Bar A is 7.,{label},{rater},base,p1\n'
        for n, given in enumerate([(S, S, C), (A, A), (S, C), (C,)])
        for rater, label in zip(("anna", "ben", "cem"), given, strict=False)
    )
    labels = labels_of(tmp_path, text.replace("contradicted", " Contradicted "))
    gold, left_out = majority(labels)
    assert [(r.label, r.arm, r.problem, r.split) for r in gold] == [
        (label, "base", "p1", "test") for label in (S, A, C)
    ]
    assert left_out == 1
    assert {pair.raters: (pair.n, pair.agreed) for pair in agreement(labels)} == {
        "anna, ben": (3, pytest.approx(2 / 3)),
        "anna, cem": (1, 0.0),
        "ben, cem": (1, 0.0),
    }
    rows, report = trial(GOLD, [Entrant("judge", Judge(Saying(embedded)))], LIMITS, labels)
    assert report["labels_without_majority"] == 1
    assert [r.verdict for r in rows if r.slice == "labelled by people"] == [A, A, A]
    assert report["people"][0]["raters"] == "anna, ben"
    assert report["arms"][0]["arm"] == "base"


def test_kappa_of_two_people_by_hand() -> None:
    pairs = [(S, S)] * 40 + [(S, A)] * 10 + [(A, S)] * 5 + [(A, A)] * 45  # chance: .5 x .45 + .5 x .55 = .5
    assert kappa(pairs) == pytest.approx((0.85 - 0.5) / 0.5)
    assert kappa([(S, S)] * 3) == 0.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("response,label\na,supported\n", "has no column 'annotation'; it needs response", id="column"),
        pytest.param(HEADER + "r,a,maybe,x,,\n", "line 2: label 'maybe' is unknown; known: supported", id="label"),
        pytest.param(HEADER + "r,a,,x,,\n", "line 2: label '' is unknown", id="no-label"),
        pytest.param(HEADER + "r, ,absent,x,,\n", "line 2: the annotation is empty", id="no-annotation"),
        pytest.param(HEADER + "r,a,absent,x,,\nr,a,absent,x,,\n", "line 3: one rater labels this twice", id="twice"),
        pytest.param("", "has no column 'response'", id="empty"),
    ],
)
def test_a_file_of_labels_that_is_wrong_says_where(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        labels_of(tmp_path, text)
    assert told in str(raised.value)
    assert "labels.csv" in str(raised.value)


def test_labels_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"response,annotation,label\n\xff\xfe,a,supported\n")
    for name in ("x.csv", "missing.csv"):
        with pytest.raises(ConfigError, match="cannot be read as a CSV file in UTF-8"):
            read_labels(tmp_path / name)


def test_anchors_are_the_same_ones_and_none_is_the_matchers() -> None:
    told = judged(GOLD, Judge(Saying(embedded)))
    kept = anchors(GOLD, told, responses=10)
    assert kept == anchors(GOLD, told, responses=10)
    assert {said.decided_by for _, said in kept} == {"judge"} and {r.split for r, _ in kept} == {"test"}
    assert len({r.response for r, _ in kept}) == 10


def test_a_judge_that_is_the_same_has_not_moved_and_one_that_was_changed_raises_the_alarm() -> None:
    judge = Judge(Saying(embedded))
    kept = anchors(GOLD, judged(GOLD, judge))
    same = drift(kept, judge, max_flips=0.01)
    assert (same.flips, same.alarm, same.right_now) == (0.0, "", same.right_before)
    kinder = drift(kept, Judge(Saying(moody)), max_flips=0.01)
    assert kinder.credited_now > kinder.credited_before and kinder.right_now < kinder.right_before
    assert "anchors have another verdict now, at most 1.0% may" in kinder.alarm
    gone = drift(kept, Judge(Saying(lambda _: Unreachable("gone"))), max_flips=0.01)
    assert gone.unknown > 0.9 and gone.alarm
