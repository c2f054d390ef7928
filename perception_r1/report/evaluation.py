"""The section of the page on what the picture is worth: predictions' scores into rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from perception_r1.compare.contrast import UNTOUCHED
from perception_r1.compare.words import percent, signed
from perception_r1.evaluate.gains import LEVEL, Gain
from perception_r1.evaluate.scores import CLEAN as WITHOUT_TRAINED_ON
from perception_r1.evaluate.scores import Score
from perception_r1.report.findings import Findings

WITHOUT = "none"
ACCURACY = "accuracy"
CLEAN = f"{ACCURACY} {WITHOUT_TRAINED_ON}"
PERCEPTION = ("all facts right", "precision of facts", "recall of facts", "language shortcut")
COUNTED = ("abstained", "truncated", "failed")
NOTHING = "–"


def evaluation(findings: Findings) -> list[Mapping[str, Any]]:
    """A part for each benchmark whose predictions were scored."""
    benchmarks = dict.fromkeys(score.benchmark for score in findings.scores)
    return [_part(findings, benchmark) for benchmark in benchmarks]


def _part(findings: Findings, benchmark: str) -> Mapping[str, Any]:
    scores = [score for score in findings.scores if score.benchmark == benchmark]
    gains = [gain for gain in findings.gains if gain.benchmark == benchmark]
    conditions = list(dict.fromkeys(score.condition for score in scores))
    arms = list(dict.fromkeys(score.model for score in scores))
    full = [score for score in scores if score.condition == UNTOUCHED]
    harnesses = list(dict.fromkeys(score.metric for score in full if score.part == "harness"))
    perceived = [name for name in PERCEPTION if any(score.metric == name for score in full)]
    return {
        "benchmark": benchmark,
        "conditions": conditions,
        "arms": [_arm(arm, scores, gains, conditions) for arm in arms],
        "blind": [sentence for arm in arms for sentence in _blind(arm, gains)],
        "perception_names": perceived,
        "perception": _table(full, "perception", arms, perceived) if perceived else [],
        "harness_names": harnesses,
        "harnesses": _table(full, "harness", arms, harnesses),
        "counts": _counts(full),
        "overlap": _overlap(findings, benchmark),
    }


def _arm(arm: str, scores: Sequence[Score], gains: Sequence[Gain], conditions: Sequence[str]) -> Mapping[str, Any]:
    """A model's accuracy under each condition, and its visual gain."""
    own = [gain for gain in gains if (gain.model, gain.condition) == (arm, WITHOUT)]
    mean = sum(gain.gain for gain in own) / len(own) if own else None
    shown = f"{sum(gain.p < LEVEL for gain in own)} of {len(own)}" if own else NOTHING
    cells = [_mean(s for s in scores if (s.model, s.condition, s.metric) == (arm, c, ACCURACY)) for c in conditions]
    return {"arm": arm, "cells": cells, "gain": NOTHING if mean is None else signed(mean), "shown": shown}


def _blind(arm: str, gains: Sequence[Gain]) -> list[str]:
    """Whether the model does better than guessing where it sees nothing."""
    own = [gain for gain in gains if (gain.model, gain.condition) == (arm, WITHOUT)]
    if not own:
        return []
    seeing = sum(not gain.blind for gain in own)
    right = percent(sum(gain.other for gain in own) / len(own))
    chance = percent(sum(gain.guessing for gain in own) / len(own))
    told = "no better than guessing" if not seeing else f"better than guessing in {seeing} of {len(own)} seeds"
    return [
        f"Without the picture {arm} is right in {right}; always giving the most frequent answer to each sort of "
        f"question would be in {chance}: {told}."
    ]


def _table(scores: Sequence[Score], part: str, arms: Sequence[str], names: Sequence[str]) -> list[Mapping[str, Any]]:
    own = [score for score in scores if score.part == part]
    return [
        {"arm": arm, "cells": [_mean(s for s in own if (s.model, s.metric) == (arm, name)) for name in names]}
        for arm in arms
    ]


def _mean(scores: Any) -> str:
    """The mean over seeds, in percent."""
    values = [score.value for score in scores if score.value is not None]
    return f"{100 * sum(values) / len(values):.1f}" if values else NOTHING


def _counts(scores: Sequence[Score]) -> str:
    """What answered nothing, of all responses to the untouched items."""
    found = {name: sum(s.value or 0 for s in scores if (s.part, s.metric) == ("counts", name)) for name in COUNTED}
    items = sum(s.value or 0 for s in scores if (s.part, s.metric) == ("counts", "items"))
    told = ", ".join(f"{count:,.0f} {name}" for name, count in found.items())
    return f"Of {items:,.0f} responses to the untouched items {told}."


def _overlap(findings: Findings, benchmark: str) -> str:
    """How many items training has seen, and what the score is without them."""
    found = [overlap for overlap in findings.overlaps if overlap.benchmark == benchmark]
    if not found:
        return "No item shows a picture that was trained on, or asks the same of one that looks like it."
    named = ", ".join(overlap.item for overlap in found[:3])
    own = [score for score in findings.scores if (score.benchmark, score.condition) == (benchmark, UNTOUCHED)]
    with_and_without = ", ".join(
        f"{arm} {_mean(s for s in own if (s.model, s.metric) == (arm, ACCURACY))} / "
        f"{_mean(s for s in own if (s.model, s.metric) == (arm, CLEAN))}"
        for arm in dict.fromkeys(score.model for score in own)
    )
    named = ", ".join(overlap.item for overlap in found[:3])
    return (
        f"{len(found):,} items are too like a problem of training (such as {named}); accuracy with and without them, "
        f"in percent: {with_and_without}."
    )
