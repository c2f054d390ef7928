"""The stage: predictions of the store in, rows of the store out; its key is what decides the outcome, and no more."""

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import storage
import tasks.compare
from perception_r1.compare import JudgeErrors, paired_misclassification_inverse
from perception_r1.config import load
from perception_r1.errors import ConfigError, StageFailed
from perception_r1.records import Prediction
from perception_r1.report import figures
from perception_r1.table import records_of, table_of
from storage import Artifact, Run, Store
from tasks.job import Job

EMBEDDED = Path(__file__).resolve().parent.parent / "configs" / "embedded.toml"
RATES = {"base": 0.2, "accuracy": 0.3, "perception_r1": 0.6}
REPORT = {
    "confusion": [[90, 4, 6, 0], [5, 40, 55, 0], [5, 10, 85, 0]],
    "arms": [],
    "gates": [],
    "judge": "judge",
    "prompt": "judge",
}


def job_of(store: Store, *overrides: str) -> Job:
    return Job(load(EMBEDDED, overrides=["compare.effect=0.1", *overrides]), store, "perception-r1 compare")


def predictions(store: Store, items: int = 40, seeds: Sequence[int] = (0, 1), **other: Any) -> list[Artifact]:
    """One artifact a run, as evaluate makes them; every run draws its own luck."""
    made = []
    for arm, rate in RATES.items():
        for seed in seeds:
            rng = random.Random(f"{arm} {seed}")
            rows = [one(arm, seed, f"i{i}", rng.random() < rate, **other) for i in range(items)]
            made.append(store.put("predictions", f"{arm}-{seed}", table_of(rows, Prediction)))
    return made


def one(arm: str, seed: int, item: str, right: bool, **other: Any) -> Prediction:
    blank = Prediction(
        model=arm, seed=seed, benchmark="world", item=item, group=item, stratum="cmp", condition="full", response="",
        status="answered", value=None, rule="", gold="", correct=right, facts=1, facts_right=0, facts_wrong=0,
        perceived=right, tokens=1,
    )  # fmt: skip
    return dataclasses.replace(blank, **other)


def validated(store: Store, report: dict[str, Any] | None = None) -> Run:
    report = report or REPORT
    return storage.stage(store, "validate", [], report, lambda work: {"judge_report/embedded": [report]})


def compared(job: Job, versions: Sequence[Artifact]) -> Run:
    stage = getattr(tasks.compare.compare, "fn", tasks.compare.compare)  # the task without Prefect's engine
    made: Run = stage(job, versions, validated(job.store))
    return made


def rows(job: Job, run: Run, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job.store.get(run[f"{kind}/embedded"]).to_pylist()
    return found


def test_every_declared_test_is_a_row_by_seed_and_over_seeds(store: Store) -> None:
    job = job_of(store)
    found = rows(job, compared(job, predictions(store)), "comparison")
    pairs = {("base", "accuracy"), ("base", "perception_r1"), ("accuracy", "perception_r1")}
    assert {(row["first"], row["second"]) for row in found} == pairs
    assert {row["seed"] for row in found} == {0, 1, None}
    assert {row["standing"] for row in found} == {"primary", "secondary"}
    assert {row["effect"] for row in found} == {0.1}
    single = next(row for row in found if row["seed"] == 0 and row["outcome"] == "answer right")
    assert sum(single[cell] for cell in "abcd") == single["n"] == 40
    assert not any(name.startswith("corrections") for name in compared(job, predictions(store)).outputs)


def test_only_what_decides_the_outcome_makes_it_anew(store: Store) -> None:
    versions = predictions(store)
    first = compared(job_of(store), versions)
    same = compared(job_of(store, "train.at_once=1", "endpoints.judge.concurrency=3"), versions)
    assert same.outputs == first.outputs
    other = compared(job_of(store, "compare.contrasts=[['base', 'accuracy']]"), versions)
    assert other.outputs != first.outputs
    standing = {(r["first"], r["second"]): r["standing"] for r in rows(job_of(store), other, "comparison")}
    assert standing["accuracy", "perception_r1"] == "exploratory"


def test_unequal_items_fail_the_stage_with_their_names(store: Store) -> None:
    versions = predictions(store)
    short = store.put("predictions", "short", table_of([one("accuracy", 0, "i0", True)], Prediction))
    with pytest.raises(
        StageFailed, match=r"base and accuracy, seed 0, must have answered the same items of world"
    ) as told:
        compared(job_of(store), [short, *(version for version in versions if version.name != "accuracy-0")])
    assert "i1" in str(told.value) and "and 34 more" in str(told.value)


def test_judged_perception_is_put_right_beside_the_raw_test(store: Store) -> None:
    job = job_of(store, "compare.judged=['world']")
    run = compared(job, predictions(store))
    (raw,) = [
        row
        for row in rows(job, run, "comparison")
        if (row["first"], row["second"], row["seed"], row["outcome"])
        == ("accuracy", "perception_r1", 0, "all facts right")
    ]
    (found,) = [
        row
        for row in rows(job, run, "corrections")
        if (row["first"], row["second"], row["seed"]) == ("accuracy", "perception_r1", 0)
    ]
    # of the report: 90 of 100 found, 10 of 200 credited; first less second, so the sign turns
    errors = JudgeErrors(0.9, 0.95, 100, 200)
    public = paired_misclassification_inverse([raw[cell] for cell in "abcd"], errors, errors)
    assert found["raw_difference"] == raw["difference"]
    assert found["difference"] == pytest.approx(-public.difference)
    assert found["method"] == "error rates"


def test_the_errors_of_another_judge_put_nothing_right(store: Store) -> None:
    job = job_of(store, "compare.judged=['world']")
    other = dataclasses.replace(job.config.evaluate, judge="teacher")
    job.config = dataclasses.replace(job.config, evaluate=other)
    assert rows(job, compared(job, predictions(store)), "corrections") == []
    with pytest.raises(ConfigError, match=r"the errors of evaluate.judge \(teacher\) are not known"):
        job_of(store, "compare.judged=['world']", "evaluate.judge='teacher'")


def test_peoples_labels_are_part_of_the_key_by_their_content(store: Store, tmp_path: Path) -> None:
    versions, labels = predictions(store), tmp_path / "labels.csv"

    def labelled(right: str) -> dict[str, Any]:
        said = {"base": "1" * 30, "accuracy": f"{right * 2}1" * 10, "perception_r1": "01111" * 6}
        lines = [f"world,{arm},0,i{i},{label}" for arm in RATES for i, label in enumerate(said[arm])]
        labels.write_text("\n".join(["benchmark,model,seed,item,perceived", *lines]))
        job = job_of(store, "compare.judged=['world']", f"compare.labels='{labels}'")
        (found,) = [
            row
            for row in rows(job, compared(job, versions), "corrections")
            if row["labelled"] and (row["first"], row["second"]) == ("accuracy", "perception_r1")
        ]
        return found

    assert labelled("0")["labelled"] == 30
    assert labelled("0")["difference"] > labelled("1")["difference"]


def test_the_drawings_of_the_stage_stand_alone(store: Store) -> None:
    job = job_of(store)
    found = records_of(rows(job, compared(job, predictions(store)), "comparison"), tasks.compare.Contrast)
    drawn = figures.of_contrasts(found)
    assert list(drawn) == ["forest perception", "forest accuracy", "mosaic", "power"]
    for says, picture in drawn.values():
        alone = figures.alone(picture)
        assert says and alone.startswith('<svg xmlns="http://www.w3.org/2000/svg"') and alone.endswith("</style></svg>")
        root = ElementTree.fromstring(alone)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.attrib["viewBox"].startswith("-12 -12 ")
        assert "nan" not in alone and "--paper" in alone
