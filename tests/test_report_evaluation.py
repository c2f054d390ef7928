"""What the page says of the picture's worth is what the predictions say."""

from dataclasses import asdict, replace
from typing import Any

from test_report import CLAIM, findings

from perception_r1.benchmarks import world
from perception_r1.evaluate.contamination import Overlap
from perception_r1.evaluate.predict import prediction
from perception_r1.evaluate.scores import scored
from perception_r1.report import page
from perception_r1.report.evaluation import evaluation

ITEMS = list(world.items(60, 0))
CONDITIONS = ("full", "none", "blank", "shuffled", "caption")


def rows(arm: str, seed: int, seen: int) -> list[dict[str, Any]]:
    """Predictions that are right with a picture for the first `seen` items, and never without one."""
    return [
        asdict(
            prediction(
                model=arm,
                seed=seed,
                benchmark="world",
                module=world,
                item=item,
                condition=condition,
                response=f"\\boxed{{{item.problem.answer}}}" if condition == "full" and n < seen else "",
                tokens=1,
                truncated=False,
            )
        )
        for condition in CONDITIONS
        for n, item in enumerate(ITEMS)
    ]


def test_the_page_shows_gain_guessing_harnesses_and_what_was_trained_on() -> None:
    pairs = [
        scored(rows(arm, seed, seen), world, whole=True, trained_on={ITEMS[0].problem.id})
        for arm, seen in (("base", 30), ("perception_r1", 45))
        for seed in (0, 1)
    ]
    scores, gains = ([one for pair in pairs for one in pair[place]] for place in (0, 1))
    overlap = Overlap("world", ITEMS[0].problem.id, "train-1", "same picture", 0)
    made = replace(findings(CLAIM), scores=scores, gains=gains, overlaps=[overlap])  # type: ignore[arg-type]
    (part,) = evaluation(made)
    assert part["conditions"] == list(CONDITIONS)
    assert part["arms"][0] == {
        "arm": "base",
        "cells": ["50.0", "0.0", "0.0", "0.0", "0.0"],
        "gain": "+50.0",
        "shown": "2 of 2",
    }
    assert part["arms"][1]["gain"] == "+75.0"
    assert all("no better than guessing" in sentence for sentence in part["blind"])
    assert [row["cells"][0] for row in part["harnesses"]] == ["50.0", "75.0"]
    assert "base 50.0 / 49.2" in part["overlap"]
    shown = page(made)
    assert "With and without the picture" in shown and "+75.0" in shown and "language shortcut" in shown


def test_a_page_without_scores_has_no_such_section() -> None:
    assert "With and without the picture" not in page(findings(CLAIM))
