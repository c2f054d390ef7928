"""A gold set without people: responses that are written or edited so that every label is known by construction."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from perception_r1.errors import PerceptionError
from perception_r1.judges import Case, Judge
from perception_r1.judges.llm import Watch
from perception_r1.records import Annotation, Asking, FactType, Judgement, Problem, Trajectory, Verdict
from perception_r1.validate.facts import Scene, scenes
from perception_r1.validate.slices import EDITS, SLICES, Label

Split = Literal["examples", "dev", "test"]


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
    type: FactType = "other"
    split: Split = "test"
    arm: str = ""  # whose response it is, where it is one of a model that is compared with another
    edited: bool = False  # the response states this fact but for the edit


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
    types = {annotation.id: annotation.type for annotation in annotations}
    splits = _splits(len(drawn))
    return [
        replace(row, type=types[row.annotation], split=splits[place])
        for place, scene in enumerate(drawn)
        for row in _of(scene, drawn[place - 1], chance)
    ]


def _splits(problems: int) -> list[Split]:
    """A tenth for examples in prompts, the rest in halves: to choose on, and to be tried on once."""
    examples = problems // 10
    dev = (problems - examples) // 2
    sizes: dict[Split, int] = {"examples": examples, "dev": dev, "test": problems - examples - dev}
    return [split for split, size in sizes.items() for _ in range(size)]


def _of(scene: Scene, other: Scene, chance: random.Random) -> Iterator[GoldVerdict]:
    """Every slice of one scene."""
    texts = {fact.id: fact.text for fact in scene.facts}
    number = 0
    for name, drafts in SLICES.items():
        for draft in drafts(scene, other, chance):
            for id, label in draft.labels.items():
                gold_id = f"{scene.problem.id}-g{number:04}"
                row = GoldVerdict(gold_id, scene.problem.id, id, texts[id], draft.response, label, name, draft.edit)
                yield replace(row, edited=name in EDITS and label != "supported")
                number += 1


def judged(gold: Sequence[GoldVerdict], judge: Judge, watch: Watch | None = None) -> list[Judgement]:
    """The judge's judgement on each gold verdict, in their order; a response is judged on all its facts at once."""
    cases: dict[tuple[str, str, str], list[GoldVerdict]] = {}
    for row in gold:
        cases.setdefault((row.problem, row.slice, row.response), []).append(row)
    told = judge.judge([Case(key[2], tuple((r.id, r.text) for r in rows)) for key, rows in cases.items()], watch)
    by_id = {judgement.annotation: judgement for judgements in told for judgement in judgements}
    return [by_id[row.id] for row in gold]


@dataclass(frozen=True, slots=True)
class JudgedVerdict(GoldVerdict):
    """A gold verdict beside the judge's; without one where the judge was not asked."""

    verdict: Verdict | None = None
    decided_by: str = ""
    evidence: str = ""
    judge: str = ""  # the digest of who was asked
    model: str = ""
    prompt: str = ""  # the digest of the wording
    prompt_tokens: int = 0  # of the request, which listed so many facts
    completion_tokens: int = 0
    facts: int = 0

    @property
    def judgement(self) -> Judgement:
        """The judge's, as far as it is kept: when it took how long is not."""
        asked = Asking(self.judge, self.model, self.prompt, 0.0, self.prompt_tokens, self.completion_tokens, self.facts)
        told = self.verdict or "unknown"
        return Judgement(self.annotation, told, self.decided_by, self.evidence, asked if self.judge else None)


def with_verdicts(gold: Sequence[GoldVerdict], judgements: Mapping[str, Judgement]) -> list[JudgedVerdict]:
    """Every gold verdict with the judgement on it, where there is one (by the gold verdict's id)."""
    return [_with(row, judgements.get(row.id)) for row in gold]


def _with(row: GoldVerdict, said: Judgement | None) -> JudgedVerdict:
    known: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(GoldVerdict)}
    if said is None:
        return JudgedVerdict(**known)
    told: dict[str, Any] = {"verdict": said.verdict, "decided_by": said.decided_by, "evidence": said.evidence}
    asked = {name: value for name, value in asdict(said.asked).items() if name != "latency_s"} if said.asked else {}
    return JudgedVerdict(**known, **told, **asked)


def misjudged(rows: Iterable[JudgedVerdict]) -> Iterator[dict[str, str]]:
    """What the judge got wrong, as a person is shown it; what it credits wrongly comes first."""
    wrong = [row for row in rows if row.verdict and (row.verdict == "supported") != (row.label == "supported")]
    for row in sorted(wrong, key=lambda row: row.verdict != "supported"):
        said = {"slice": row.slice, "label": row.label, "verdict": str(row.verdict), "decided by": row.decided_by}
        yield {"gold verdict": row.id, **said, "fact": row.text, "response": row.response}
