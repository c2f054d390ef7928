"""A gold set without people: responses that are written or edited so that every label is known by construction."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perception_r1.errors import PerceptionError
from perception_r1.judges import Case, Judge
from perception_r1.judges.llm import Watch
from perception_r1.records import Annotation, Judgement, Problem, Trajectory
from perception_r1.validate.facts import Scene, scenes
from perception_r1.validate.slices import SLICES, Label


@dataclass(frozen=True, slots=True)
class GoldVerdict:
    """One annotation and one response whose verdict is known, the slice that they belong to, and the edit."""

    id: str
    problem: str
    annotation: str
    text: str  # the annotation's
    response: str
    label: Label
    slice: str
    edit: str


def gold_set(
    problems: Sequence[Problem],
    annotations: Sequence[Annotation],
    trajectories: Sequence[Trajectory],
    count: int,
    seed: int,
) -> list[GoldVerdict]:
    """The gold verdicts on `count` problems drawn from those with kept annotations, or on all if there are fewer."""
    usable = scenes(problems, annotations, trajectories)
    if not usable:
        raise PerceptionError(
            f"there is no gold set: none of {len(problems):,} problems has an annotation that was kept; "
            "annotate more problems or drop fewer annotations"
        )
    chance = random.Random(f"{seed} gold")
    drawn = chance.sample(usable, min(count, len(usable)))
    return [gold for place, scene in enumerate(drawn) for gold in _of(scene, drawn[place - 1], chance)]


def _of(scene: Scene, other: Scene, chance: random.Random) -> Iterator[GoldVerdict]:
    """Every slice of one scene."""
    texts = {fact.id: fact.text for fact in scene.facts}
    number = 0
    for name, drafts in SLICES.items():
        for draft in drafts(scene, other, chance):
            for id, label in draft.labels.items():
                gold_id = f"{scene.problem.id}-g{number:04}"
                yield GoldVerdict(gold_id, scene.problem.id, id, texts[id], draft.response, label, name, draft.edit)
                number += 1


def judged(gold: Sequence[GoldVerdict], judge: Judge, watch: Watch | None = None) -> list[Judgement]:
    """The judge's judgement on each gold verdict, in their order; a response is judged on all its facts at once."""
    cases: dict[tuple[str, str, str], list[GoldVerdict]] = {}
    for row in gold:
        cases.setdefault((row.problem, row.slice, row.response), []).append(row)
    told = judge.judge([Case(key[2], tuple((r.id, r.text) for r in rows)) for key, rows in cases.items()], watch)
    by_id = {judgement.annotation: judgement for judgements in told for judgement in judgements}
    return [by_id[row.id] for row in gold]
