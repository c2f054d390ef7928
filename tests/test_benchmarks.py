r"""Benchmarks prove themselves without a model, and what a response saw is read without a judge."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from perception_r1.benchmarks import world
from perception_r1.benchmarks.item import Benchmark, Item
from perception_r1.benchmarks.proof import prove
from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.errors import BadProblem
from perception_r1.evaluate.predict import prediction, seen
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data
from perception_r1.world.charts import tasks
from perception_r1.world.demonstrator import demonstration, layout
from storage.provenance import code_of

OFFLINE = ("world",)  # the others come from the hub


@pytest.mark.parametrize("name", OFFLINE)
def test_every_benchmark_proves_itself(name: str) -> None:
    assert prove(BENCHMARKS[name], seed=0) > 0


@pytest.mark.parametrize("name", OFFLINE)
def test_a_seed_says_everything_and_a_limit_is_a_beginning(name: str) -> None:
    few, more = list(BENCHMARKS[name].items(9, 4)), list(BENCHMARKS[name].items(12, 4))
    assert few == more[:9] and len(more) == 12
    assert few != list(BENCHMARKS[name].items(9, 5))


def test_the_world_has_as_many_items_of_each_sort_and_all_are_held_out() -> None:
    everything = list(world.items(0, seed=0))
    assert {kind: sum(item.stratum == kind for item in everything) for kind in ("cmp", "max", "diff")} == {
        "cmp": 171,
        "max": 171,
        "diff": 171,
    }
    assert {item.problem.split for item in everything} == {"heldout"}


CHART = Item(
    problem=Problem(
        id="heldout-000000-cmp",
        images=(b"png",),
        question="<image>Is bar A taller than bar C?",
        answer="yes",
        answer_type="yes_no",
        source="world",
        group="heldout-000000",
        split="heldout",
    ),
    stratum="cmp",
    facts=("Bar A is 7.", "Bar C is 2."),
    beside=("Bar B is 5.",),
)
READINGS = {
    "both": ("Bar A is 7. Bar C is 2. 7 > 2.", (2, 0)),
    "the-third-bar-too": ("Bar A is 7. Bar B is 5. Bar C is 2.", (2, 0)),
    "the-third-bar-wrongly": ("Bar A is 7. Bar B is 6. Bar C is 2.", (2, 1)),
    "one": ("Bar A is 7.", (1, 0)),
    "one-wrong": ("Bar A is 7. Bar C is 3.", (1, 1)),
    "swapped": ("Bar A is 2. Bar C is 7.", (0, 2)),
    "two-values": ("Bar A is 7. Bar A is 8. Bar C is 2.", (1, 1)),
    "all-values": (" ".join(f"Bar A is {n}. Bar C is {n}." for n in range(1, 10)), (0, 2)),
    "said-twice": ("Bar A is 7. Bar C is 2. So bar A is 7.", (2, 0)),
    "hedged": ("Bar A is 7 or 6. Bar C is 2.", (1, 1)),
    "hedged-with-a-comma": ("Bar A is 7, 6. Bar C is 2.", (1, 1)),
    "joined": ("Bar A is 7 and bar C is 2.", (2, 0)),
    "with-units": ("Bar A is 7 units tall, bar C is 2 units.", (2, 0)),
    "longer-number": ("Bar A is 70. Bar C is 2.5.", (0, 2)),
    "no-such-bar": ("Bar A is 7. Bar C is 2. Bar D is 4.", (2, 1)),
    "a-comparison": ("Bar A is taller than bar C.", (0, 0)),
    "nothing": ("I see three columns.", (0, 0)),
}


@pytest.mark.parametrize(("thought", "counts"), READINGS.values(), ids=READINGS)
def test_a_bar_is_seen_if_its_only_claim_is_its_height(thought: str, counts: tuple[int, int]) -> None:
    assert seen(world.read(layout(thought, "yes"), CHART)) == counts


@pytest.mark.parametrize(
    "response",
    [
        pytest.param("<answer>Bar A is 7. Bar C is 2. \\boxed{yes}</answer>", id="outside-the-thought"),
        pytest.param("<think>Bar A is 7. Bar C is 2.", id="thought-not-finished"),
        pytest.param("", id="empty"),
    ],
)
def test_what_is_not_thought_is_not_seen(response: str) -> None:
    assert seen(world.read(response, CHART)) == (0, 0)


def test_exact_demonstrations_are_seen_and_coarse_ones_are_where_they_happen_to_be_right() -> None:
    for item, task in zip(world.items(60, seed=2), tasks("heldout", 60, seed=2), strict=True):
        assert seen(world.read(demonstration(task, lazy=False), item)) == (len(item.facts), 0)
        right = sum(task.chart.height(bar) in (2, 5, 8) for bar in task.bars)  # what a lazy eye sees rightly
        assert seen(world.read(demonstration(task, lazy=True), item)) == (right, len(item.facts) - right)


def predicted(response: str, truncated: bool = False, item: Item = CHART) -> tuple[object, ...]:
    made = prediction(
        model="base",
        seed=1,
        benchmark="world",
        module=world,
        item=item,
        condition="full",
        response=response,
        tokens=30,
        truncated=truncated,
    )
    assert (made.item, made.group, made.stratum, made.gold) == (item.problem.id, item.problem.group, "cmp", "yes")
    return made.status, made.value, made.correct, made.facts_right, made.facts_wrong, made.perceived


SEEN = layout("Bar A is 7. Bar C is 2. 7 > 2.", "yes")
PREDICTIONS = {
    "right-and-seen": (SEEN, False, ("answered", "yes", True, 2, 0, True)),
    "right-but-not-seen": (layout("Bar A is 8. Bar C is 2.", "yes"), False, ("answered", "yes", True, 1, 1, False)),
    "seen-but-wrong": (SEEN.replace("yes", "no"), False, ("answered", "no", False, 2, 0, True)),
    "a-wrong-word-beside": (
        layout("Bar A is 7. Bar C is 2. Bar B is 1.", "yes"),
        False,
        ("answered", "yes", True, 2, 1, False),
    ),
    "cut-off": (SEEN, True, ("truncated", None, False, 2, 0, True)),
    "no-answer": ("Hm.", False, ("abstained", None, False, 0, 0, False)),
}


@pytest.mark.parametrize(("response", "truncated", "expected"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_a_prediction_keeps_answering_and_seeing_apart(
    response: str, truncated: bool, expected: tuple[object, ...]
) -> None:
    assert predicted(response, truncated) == expected


def test_where_no_facts_are_known_nobody_perceived() -> None:
    assert predicted(SEEN, item=replace(CHART, facts=(), beside=()))[-1] is None


def with_items(*items: Item) -> Benchmark:
    def given(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
        return iter(items)

    return cast(Benchmark, SimpleNamespace(items=given, read=world.read, grade=world.grade))


@pytest.mark.parametrize(
    ("benchmark", "complaint"),
    [
        pytest.param(with_items(CHART, CHART), "its id is another item's too", id="same-id"),
        pytest.param(with_items(replace(CHART, problem=replace(CHART.problem, images=()))), "no image", id="no-image"),
        pytest.param(
            with_items(replace(CHART, problem=replace(CHART.problem, answer="perhaps"))),
            "its own answer 'perhaps' is graded wrong",
            id="gold-of-another-type",
        ),
        pytest.param(with_items(replace(CHART, facts=("Bar A has 7.",))), "its own facts", id="facts-not-readable"),
    ],
)
def test_a_benchmark_that_cannot_be_right_is_refused_by_item(benchmark: Benchmark, complaint: str) -> None:
    with pytest.raises(BadProblem, match=f"item heldout-000000-cmp: .*{complaint}"):
        prove(benchmark, seed=0)


def test_a_verdict_says_what_became_of_each_fact() -> None:
    said = world.read(layout("Bar A is 7. Bar C is 3. Bar B is 1.", "yes"), CHART)
    assert [(v.fact, v.verdict, v.known) for v in said] == [
        ("Bar A is 7.", "supported", True),
        ("Bar C is 2.", "contradicted", True),
        ("Bar B is 1.", "contradicted", False),
    ]


def test_an_evaluation_stands_on_its_own_benchmark_only() -> None:
    def stands_on(name: str) -> set[str]:
        return set(code_of("perception_r1.evaluate.__main__", f"perception_r1.benchmarks.{name}").modules)

    assert not any("benchmarks.table" in path or "mathvista" in path for path in stands_on("world"))
    assert any("mathvista" in path for path in stands_on("mathvista"))
