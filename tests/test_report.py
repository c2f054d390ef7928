"""The page and its words, on invented studies that look like the measured one."""

import html.parser
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from perception_r1.compare.family import compare_models, spread
from perception_r1.records import Prediction
from perception_r1.report import Findings, page, summary, verdict

ITEMS = 513
Rates = Mapping[str, Sequence[tuple[float, float]]]  # of each arm: answer right and all facts right, seed by seed

# what was measured on the embedded world, in round numbers
CLAIM: Rates = {
    "base": [(0.61, 0.08), (0.59, 0.11), (0.67, 0.13)],
    "accuracy": [(0.62, 0.11), (0.58, 0.13), (0.67, 0.25)],
    "perception_r1": [(0.74, 0.55), (0.76, 0.62), (0.89, 0.82)],
}
CONTROL: Rates = {**CLAIM, "control": [(0.70, 0.54), (0.68, 0.50), (0.74, 0.61)]}
NULL: Rates = {
    "base": [(0.61, 0.08), (0.59, 0.11), (0.67, 0.13)],
    "accuracy": [(0.64, 0.14), (0.60, 0.11), (0.66, 0.15)],
    "perception_r1": [(0.63, 0.19), (0.61, 0.08), (0.67, 0.17)],
}
WORSE: Rates = {
    "base": [(0.61, 0.40), (0.59, 0.42), (0.67, 0.38)],
    "accuracy": [(0.64, 0.44), (0.60, 0.45), (0.66, 0.44)],
    "perception_r1": [(0.63, 0.19), (0.61, 0.18), (0.67, 0.17)],
}
PARTIAL: Rates = {
    "base": [(0.6, 0.1)] * 6,
    "accuracy": [(0.6, 0.3)] * 6,
    "perception_r1": [(0.7, x) for x in (0.6, 0.55, 0.6, 0.65, 0.25, 0.6)],
}


def predictions(rates: Rates, items: int = ITEMS, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows with these rates, to the nearest item; which items are right is drawn anew for every run."""
    rng = random.Random(seed)
    for arm, of_seeds in rates.items():
        for run, (right, sees) in enumerate(of_seeds):
            answers, facts = (set(rng.sample(range(items), round(rate * items))) for rate in (right, sees))
            for i in range(items):
                yield asdict(
                    Prediction(
                        model=arm,
                        seed=run,
                        benchmark="world",
                        item=str(i),
                        group=str(i),
                        stratum=("cmp", "diff", "max")[i % 3],
                        condition="image",
                        response="",
                        status="answered",
                        value=None,
                        rule="",
                        gold="",
                        correct=i in answers,
                        facts=3,
                        facts_right=0,
                        facts_wrong=0,
                        perceived=i in facts,
                        tokens=36,
                    )
                )


def learning(arm: str, steps: int = 120) -> list[dict[str, float]]:
    """An invented learning curve."""
    rng = random.Random(arm)
    found = []
    for step in range(1, steps + 1):
        done = step / steps
        row = {
            "step": step,
            "accuracy": 0.7 + 0.15 * done,
            "format": 0.97 + 0.03 * done,
            "repetition": -0.1 + 0.1 * done,
        }
        if arm == "perception_r1":
            row["perception"] = 0.35 + 0.5 * done
        found.append({k: v if k == "step" else v + rng.gauss(0, 0.03) for k, v in row.items()})
    return found


def findings(rates: Rates, **other: Any) -> Findings:
    """An invented study with these rates."""
    rows = list(predictions(rates, other.pop("items", ITEMS)))
    arms = [arm for arm in rates if arm != "base"]
    made = Findings(
        title="Did it see better, or only answer better?",
        meaningless=False,
        contrasts=compare_models(rows, 0.05, [("accuracy", "perception_r1")]),
        spread=spread(rows),
        judge={
            "kappa": 0.973,
            "kappa_low": 0.951,
            "sensitivity": 0.991,
            "specificity": 0.982,
            "judged": 1284,
            "gates": [
                {"name": "min_kappa", "value": 0.951, "limit": 0.6, "passed": True},
                {"name": "max_false_credit", "value": 0.071, "limit": 0.05, "passed": False},
            ],
        },
        funnel=[
            ("problems", 960),
            ("trajectories", 2880),
            ("with the right answer", 2531),
            ("facts extracted", 7412),
            ("after hygiene", 2702),
        ],
        quality={"precision": 0.994, "recall": 0.938},
        config={"name": "embedded", "train": {"model": "world", "steps": 120, "seeds": [0, 1, 2]}},
        versions=[("annotations", "annotations/embedded@3"), ("predictions", "predictions/embedded@7")],
        made="2026-11-21 14:02 UTC",
        control="control" if "control" in rates else "",
        rollouts={arm: learning(arm) for arm in arms},
    )
    return replace(made, **other)


def first_seed(rates: Rates) -> Rates:
    return {arm: of_seeds[:1] for arm, of_seeds in rates.items()}


STUDIES: dict[str, Callable[[], Findings]] = {
    "claim": lambda: findings(CLAIM),
    "control": lambda: findings(CONTROL),
    "one-seed": lambda: findings(first_seed(CLAIM)),
    "null": lambda: findings(NULL),
    "worse": lambda: findings(WORSE),
    "meaningless": lambda: findings(first_seed(NULL), meaningless=True, items=24),
}
