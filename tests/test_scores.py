"""What predictions are worth: with and without the picture, seen or not, under other harnesses, once or k times."""

import io
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from perception_r1.benchmarks import world
from perception_r1.benchmarks.fixtures import laid_out
from perception_r1.benchmarks.item import Item
from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.compare import mcnemar_midp
from perception_r1.evaluate.conditions import blank
from perception_r1.evaluate.contamination import BITS, Known, distance, normalised, overlaps, perceptual_hash
from perception_r1.evaluate.gains import gain, guessing
from perception_r1.evaluate.harnesses import HARNESSES, sensitivity
from perception_r1.evaluate.perception import perception
from perception_r1.evaluate.predict import prediction
from perception_r1.evaluate.sampled import pass_at, sampled, voted
from perception_r1.evaluate.scores import Score, scored
from perception_r1.records import Problem

ITEMS = list(world.items(30, 0))


def row(
    item: Item, response: str, condition: str = "full", sample: int = 0, module: Any = world, **rest: Any
) -> dict[str, Any]:
    made = prediction(
        model="base",
        seed=0,
        benchmark="world",
        module=module,
        item=item,
        condition=condition,
        response=response,
        tokens=9,
        truncated=False,
        sample=sample,
    )
    return asdict(replace(made, **rest))


def gold(item: Item, facts: bool = True) -> str:
    return f"<think>{' '.join(item.facts) if facts else ''}</think>\n<answer>\\boxed{{{item.problem.answer}}}</answer>"


def test_the_gain_is_paired_by_item() -> None:
    full = [row(item, gold(item)) for item in ITEMS]
    none = [row(item, gold(item) if n < 10 else "", "none") for n, item in enumerate(ITEMS)]
    random.Random(0).shuffle(none)
    found = gain(full, none)
    assert found is not None
    assert (found.n, found.full, found.b, found.c) == (30, 1.0, 20, 0)
    assert found.gain == pytest.approx(20 / 30) and found.survives == pytest.approx(1 / 3)
    assert found.p == pytest.approx(mcnemar_midp(20, 0).pvalue)
    assert found.low is not None and found.high is not None and found.low < found.gain < found.high


def test_no_difference_is_a_gain_of_zero_and_a_p_of_one() -> None:
    full = [row(item, gold(item)) for item in ITEMS]
    found = gain(full, [{**one, "condition": "none"} for one in full])
    assert found is not None and (found.gain, found.p, found.survives) == (0.0, 1.0, 1.0)


def test_conditions_with_other_items_are_not_compared() -> None:
    full = [row(item, gold(item)) for item in ITEMS]
    with pytest.raises(ValueError, match="not asked the same items"):
        gain(full, full[1:])


def test_whoever_always_says_the_same_does_no_better_than_guessing_and_whoever_knows_does() -> None:
    rows = [row(item, gold(item), "none") for item in ITEMS]
    chance = guessing(rows)
    answers = [item.problem.answer for item in ITEMS if item.stratum == "max"]
    assert 0 < chance < 1 and max(map(answers.count, answers)) / 10 >= 1 / 3
    constant = [
        row(item, {"cmp": "yes", "max": "\\boxed{A}", "diff": "\\boxed{1}"}[item.stratum], "none") for item in ITEMS
    ]
    full = [row(item, gold(item)) for item in ITEMS]
    (blind, knowing) = (gain(full, constant), gain(full, rows))
    assert blind is not None and blind.other <= blind.guessing and blind.blind
    assert knowing is not None and not knowing.blind


def named(metrics: Any) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in metrics}


def test_perception_is_counted_apart_from_answers() -> None:
    cmp, high, diff = ITEMS[:3]
    misread = "<think>Bar A is 1. Bar B is 2.</think>yes"
    rows = [row(cmp, gold(cmp)), row(high, gold(high, facts=False)), row(diff, gold(diff)), row(ITEMS[3], misread)]
    found = named(perception(rows))
    assert found["all facts right"] == pytest.approx(2 / 4)
    assert found["language shortcut"] == pytest.approx(
        2 / 4
    )  # right without a right reading: the second and the fourth
    assert found["precision of facts"] == pytest.approx(4 / 6)
    assert found["recall of facts"] == pytest.approx(4 / 9)
    assert found["recall of facts, length"] == found["recall of facts"]


def test_a_wrong_claim_beside_the_facts_costs_precision_and_no_recall() -> None:
    (cmp,) = ITEMS[:1]
    found = named(perception([row(cmp, "<think>Bar A is 9. Bar B is 7. Bar C is 1.</think>yes")]))
    assert (found["precision of facts"], found["recall of facts"]) == (pytest.approx(2 / 3), 1.0)
    assert found["all facts right"] == 0.0


def test_a_question_without_a_response_says_nothing_of_perception() -> None:
    seen = [row(item, gold(item)) for item in ITEMS[:4]]
    failed = prediction(
        model="base",
        seed=0,
        benchmark="world",
        module=world,
        item=ITEMS[4],
        condition="full",
        response="",
        tokens=0,
        truncated=False,
        failed="refused",
    )
    found = named(perception([*seen, asdict(failed)]))
    assert (found["all facts right"], found["recall of facts"]) == (1.0, 1.0)
    assert found == named(perception(seen)) | {"verdicts unknown": 0.0}


def test_an_answer_that_is_not_graded_is_not_seen_and_still_wrong() -> None:
    rows = [row(ITEMS[0], gold(ITEMS[0]), correct=None, status="judge_failed"), row(ITEMS[1], gold(ITEMS[1]))]
    assert named(perception(rows))["seen and still wrong"] is None


def test_where_no_facts_are_known_nothing_is_said_of_perception() -> None:
    assert perception([row(replace(ITEMS[0], facts=(), beside=()), "yes")]) == []


RESPONSES = {
    "layout": ("<think>I look.</think><answer>\\boxed{C}</answer>", (1, 1, 1, 1 / 3, 1)),
    "boxed-without-a-block": ("\\boxed{C}", (1, 0, 0, 1 / 3, 1)),
    "marker": ("The answer is C.", (1, 0, 0, 1, 1)),
    "in-the-thought": ("<think><answer>C</answer></think><answer>\\boxed{A}</answer>", (0, 0, 1, 1 / 3, 0)),
    "bracketed": ("It is (A), no: (C)", (0, 0, 0, 1, 1)),
    "nothing": ("", (0, 0, 0, 1 / 3, 0)),
    "a-number-at-the-end": ("(C) has height 6", (1, 0, 0, 1, 0)),
}


@pytest.mark.parametrize(("response", "grades"), RESPONSES.values(), ids=RESPONSES)
def test_the_same_response_is_graded_otherwise_by_other_harnesses(response: str, grades: tuple[float, ...]) -> None:
    item = next(item for item in ITEMS if item.stratum == "max" and item.problem.answer == "C")
    found = sensitivity([row(item, response), row(item, "", status="judge_failed", correct=None)], world)
    assert named(found) == pytest.approx(dict(zip(HARNESSES, grades, strict=True)))
    assert {metric.n for metric in found} == {1}


def test_pass_at_k_is_the_unbiased_one() -> None:
    assert pass_at(1, 4, 1) == 0.25 and pass_at(4, 4, 1) == 1.0 and pass_at(2, 4, 0) == 0.0
    assert pass_at(2, 4, 2) == pytest.approx(1 - (2 * 1) / (4 * 3))


def test_items_of_one_group_are_one_in_every_interval() -> None:
    once = [
        row(item, gold(item, facts=n % 3 > 0), labels=(f"copied={('no', 'yes')[n % 2]}",), correct=n % 5 > 0)
        for n, item in enumerate(ITEMS)
    ]
    once = [{**one, "sample": sample} for one in once for sample in (0, 1, 2)]
    twice = [{**one, "item": f"{one['item']}-{twin}"} for one in once for twin in (1, 2)]
    (alone, _), (twins, _) = (scored(rows, world, whole=False) for rows in (once, twice))
    theirs = {score.metric: score for score in twins}
    for score in alone:
        if score.part in ("perception", "samples") and score.interval.endswith("groups"):
            twin = theirs[score.metric]
            assert (twin.low, twin.high) == (pytest.approx(score.low), pytest.approx(score.high)), score.metric
    for name in ("all facts right", "language shortcut", "copy rate", "majority of 2"):
        assert theirs[name].interval == "t over groups", name
    assert theirs["pass@1"].n == 60


def test_a_majority_is_more_than_any_other_and_a_tie_is_none() -> None:
    def said(*values: str | None) -> list[dict[str, Any]]:
        return [row(ITEMS[2], "", value=value, correct=value == "3", sample=n) for n, value in enumerate(values, 1)]

    assert (voted(said("3", "4", "3.0")) or {})["value"] == "3"
    assert voted(said("3", "4")) is None and voted(said(None, None)) is None
    assert (voted(said(None, None, "4")) or {})["value"] == "4"
    found = named(sampled(said("3", "4", "3", None)))
    assert found["pass@1"] == 0.5 and found["pass@4"] == 1.0 and found["majority of 4"] == 1.0


def test_scores_name_everything_once_and_say_what_is_left_out() -> None:
    rows = [row(item, gold(item)) for item in ITEMS] + [row(item, "", "none") for item in ITEMS]
    rows += [row(item, gold(item) if n % 2 else "", sample=1 + n % 2) for item in ITEMS for n in range(2)]
    scores, gains = scored(rows, world, whole=True, trained_on={ITEMS[0].problem.id})
    keys = [(score.condition, score.part, score.metric) for score in scores]
    assert len(keys) == len(set(keys))
    assert {score.part for score in scores} == {"answers", "counts", "perception", "harness", "samples"}
    assert [found.condition for found in gains] == ["none"]
    clean = next(s for s in scores if s.metric == "accuracy without what was trained on" and s.condition == "full")
    assert clean.n == 29
    assert value(scores, "none", "abstained") == 30


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_score_is_there_again_without_the_groups_that_were_trained_on(name: str, tmp_path: Path) -> None:
    module = BENCHMARKS[name]
    items = list(module.items(0, 0, laid_out(module.DATA, tmp_path)) if module.DATA else module.items(24, 0))
    rows = [row(item, "", module=module) for item in items]
    left = [one for one in rows if one["group"] != rows[0]["group"]]
    scores, _ = scored(rows, module, whole=False, trained_on={rows[0]["item"]})
    found = {score.metric: (score.value, score.n) for score in scores if score.part == "answers"}
    assert {"accuracy", "accuracy without what was trained on"} <= found.keys()
    for metric in module.metrics(left, False):
        assert found[f"{metric.name} without what was trained on"] == (metric.value, metric.n)


def value(scores: list[Score], condition: str, metric: str) -> float | None:
    return next(score.value for score in scores if (score.condition, score.metric) == (condition, metric))


def test_a_score_that_a_model_helped_with_is_also_shown_without_it() -> None:
    rows = [row(item, gold(item)) for item in ITEMS[:4]]
    rows[0] = {**rows[0], "rule": "asked a model"}
    scores, _ = scored(rows, world, whole=False)
    assert (value(scores, "full", "accuracy"), value(scores, "full", "accuracy by rules alone")) == (1.0, 0.75)


# Contamination


def resaved(picture: bytes, scale: float = 1.0, **how: Any) -> bytes:
    data = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    size = (round(image.width * scale), round(image.height * scale))
    image.resize(size).save(data, how.pop("format", "PNG"), **how)
    return data.getvalue()


def asked(problem: Problem, **rest: Any) -> Problem:
    return replace(problem, id="item", **rest)


def test_training_that_is_asked_again_is_found_however_it_was_stored() -> None:
    trained = [item.problem for item in world.items(40, 7)]
    known, one = Known(trained), trained[3]
    kinds = {
        "same file": (asked(one), "same picture"),
        "stored again": (
            asked(one, images=(resaved(one.images[0], format="BMP"),), question="Other words?"),
            "same picture",
        ),
        "compressed": (
            asked(one, images=(resaved(one.images[0], format="JPEG", quality=85),)),
            "near picture, same words",
        ),
        "larger": (asked(one, images=(resaved(one.images[0], 2.0),)), "near picture, same words"),
        "words alone": (asked(one, images=()), "same words"),
        "between a hint and choices": (
            asked(
                one,
                images=(resaved(one.images[0], format="JPEG", quality=85),),
                question=f"Hint: Give the letter.\nQuestion: {one.question}\nChoices: (A) 1",
            ),
            "near picture, same words",
        ),
        "the second picture": (
            asked(one, images=(blank(one.images[0]), resaved(one.images[0], 2.0))),
            "near picture, same words",
        ),
    }
    for name, (problem, kind) in kinds.items():
        found = list(overlaps("world", [problem], known))
        assert [(each.problem, each.kind) for each in found][:1] == [(one.id, kind)] or kind == "same words", name
        assert found and found[0].kind == kind, name


def test_another_picture_with_the_same_words_is_no_overlap() -> None:
    trained = [item.problem for item in world.items(60, 7)]
    other = [item.problem for item in world.items(60, 8)]
    seen = {problem.images for problem in trained}
    fresh = [problem for problem in other if problem.images not in seen]
    near = [found for found in overlaps("world", fresh, Known(trained)) if found.bits > 6]
    assert near == []


def test_a_near_picture_with_other_words_is_no_overlap_and_nothing_trained_on_has_none() -> None:
    one = next(world.items(1, 7)).problem
    other = asked(one, images=(resaved(one.images[0], 2.0),), question="How many colours are there?")
    assert list(overlaps("world", [other], Known([one]))) == []
    assert list(overlaps("world", [one], Known([]))) == []


def test_words_are_compared_without_their_layout() -> None:
    assert normalised("<image>Find  $x$.") == normalised("find X <image 1>")
    assert normalised("Find x.") != normalised("Find y.")


def test_a_hash_has_as_many_bits_as_it_says_and_sees_another_picture() -> None:
    pictures = [item.problem.images[0] for item in ITEMS[:10]]
    hashes = {perceptual_hash(picture) for picture in pictures}
    assert all(0 <= found < 2**BITS for found in hashes) and len(hashes) > 7
    assert distance(0b1011, 0b0010) == 2


def test_the_guard_of_text_flags_a_loss_and_is_silent_on_a_copy() -> None:
    def text_only() -> Iterator[Item]:
        yield from (replace(item, problem=replace(item.problem, images=()), imageless=True) for item in ITEMS)

    before = [row(item, gold(item)) for item in text_only()]
    copy = gain(before, [{**one, "condition": "after"} for one in before])
    worse = gain(before, [row(item, "" if n % 2 else gold(item), "after") for n, item in enumerate(text_only())])
    assert copy is not None and (copy.b, copy.c, copy.p) == (0, 0, 1.0)
    assert worse is not None and worse.p < 0.001 and worse.gain == 0.5
