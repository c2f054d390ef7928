"""Responses and the grades that a person gave them, benchmark by benchmark: `golden/<benchmark>.toml`."""

import tomllib
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from perception_r1.benchmarks.fixtures import laid_out
from perception_r1.benchmarks.item import Item
from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.evaluate.predict import prediction
from perception_r1.evaluate.rescore import rescored
from perception_r1.records import Prediction

GOLDEN = Path(__file__).parent / "golden"
FAMILY = {"mmmu_pro_standard_4": "mmmu", "mmmu_pro_standard_10": "mmmu", "mmmu_pro_vision": "mmmu", "emma_mini": "emma"}
CASES = {
    f"{path.stem}-{name}": (path.stem, *case)
    for path in sorted(GOLDEN.glob("*.toml"))
    for name, case in tomllib.loads(path.read_text()).items()
}


@cache
def items_of(benchmark: str) -> dict[str, Item]:
    module = BENCHMARKS[benchmark]
    with TemporaryDirectory() as folder:
        asked = module.items(0, 0, laid_out(module.DATA, Path(folder))) if module.DATA else module.items(9, 0)
        return {item.problem.id: item for item in asked}


def predicted(benchmark: str, item: str, response: str) -> Prediction:
    return prediction(
        model="base",
        seed=0,
        benchmark=benchmark,
        module=BENCHMARKS[benchmark],
        item=items_of(benchmark)[item],
        condition="full",
        response=response,
        tokens=1,
        truncated=False,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_grade_is_the_one_that_a_person_gave(case: tuple[str, ...]) -> None:
    benchmark, item, response, grade, *seen = case
    made = predicted(benchmark, item, response)
    given = made.status if made.status != "answered" else "right" if made.correct else "wrong"
    assert given == grade, f"{made.rule}: {made.value!r}"
    if seen:
        assert made.perceived is (seen[0] == "perceived")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_stored_responses_are_graded_again_as_they_were(benchmark: str) -> None:
    """Of a prediction alone: the benchmark's data are not there."""
    rows = [asdict(predicted(*case[:3])) for case in CASES.values() if case[0] == benchmark]
    stored, ours, *_ = rescored(rows, BENCHMARKS[benchmark])
    assert ours == replace(stored, harness="ours")


def test_every_benchmark_has_cases_and_every_family_enough_of_each_grade() -> None:
    assert {benchmark for benchmark, *_ in CASES.values()} == BENCHMARKS.keys()
    families: dict[str, list[str]] = {}
    for benchmark, _, _, grade, *_ in CASES.values():
        families.setdefault(FAMILY.get(benchmark, benchmark), []).append(grade)
    assert {family: len(grades) for family, grades in families.items() if len(grades) < 25} == {}
    for grades in families.values():
        assert {"right", "wrong", "abstained", "truncated"} == set(grades)
