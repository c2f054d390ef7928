"""From completions to rewards: what each term says, what they come to in a group, and what the judge decided alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from perception_r1.judges import Case
from perception_r1.records import Completion, Judgement, Verdict
from perception_r1.rewards import REWARDS
from perception_r1.rewards.combined import combined
from perception_r1.rewards.perception import perception_reward
from perception_r1.rewards.tied import decided_by_judge, differ
from perception_r1.sections import Weight
from perception_r1.train.ledger import TERMS
from perception_r1.train.spec import RunSpec

OURS = ("matcher", "rule")  # verdicts that are not the judge's

Terms = dict[Weight, float | None]


@dataclass(slots=True)
class Sample:
    """One completion on its way to the ledger."""

    row: Mapping[str, Any]  # of the dataset
    text: str
    ids: Sequence[int]
    truncated: bool
    draw: int = 0
    completion: Completion | None = None
    terms: Terms = field(default_factory=dict)
    without_judge: float | None = None  # the perception reward of the matcher's verdicts alone
    kept: bool = True

    def case(self) -> Case:
        """What the judge is asked."""
        facts = tuple(zip(self.row["annotation_ids"], self.row["annotation_texts"], strict=True))
        return Case(self.text, facts, self.truncated)


def terms_of(spec: RunSpec) -> list[Weight]:
    """The rewards that the run asks for, in the order of the ledger's columns."""
    return [term for term in TERMS if spec.weights.get(term) or (term == "perception" and spec.gate)]


def score(samples: Sequence[Sample], judged: Sequence[tuple[Judgement, ...]], spec: RunSpec) -> None:
    """Fills in what each sample's rewards are."""
    for sample, judgements in zip(samples, judged, strict=True):
        sample.completion = Completion(
            text=sample.text,
            answer=sample.row["answer"],
            answer_type=sample.row["answer_type"],
            choices=tuple(sample.row["choices"]),
            truncated=sample.truncated,
            judgements=judgements,
            tokens=len(sample.ids),
            longest=spec.train.max_completion_tokens,
        )
        said, rule = sample.completion, spec.train.perception_rule
        seen = perception_reward(said, rule)
        sample.terms = {term: seen if term == "perception" else REWARDS[term](said) for term in terms_of(spec)}
        asked = any(judgement.decided_by not in OURS for judgement in judgements)
        sample.without_judge = perception_reward(_without_judge(said), rule) if asked else seen


def _without_judge(completion: Completion) -> Completion:
    """The completion as if the judge had said of everything that it is absent."""
    verdicts = tuple(j if j.decided_by in OURS else j._replace(verdict="absent") for j in completion.judgements)
    return replace(completion, judgements=verdicts)


def columns(samples: Sequence[Sample], spec: RunSpec) -> list[list[float | None]]:
    """Each sample's rewards and, last, its perception without the judge.

    A picture of which nothing is known is neutral: one constant for the whole group, 1 where a gate multiplies by it.
    """
    neutral = 1.0 if spec.gate else 0.0
    found = []
    for sample in samples:
        unseen = not sample.row["annotation_ids"]
        known = dict(sample.terms)
        if unseen and "perception" in known:
            known["perception"] = neutral
        found.append([*known.values(), neutral if unseen else sample.without_judge])
    return found


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the rewards of all processes' samples came to."""

    rewards: list[float | None]  # None: the row is left out
    alone: list[bool]  # of each group: the judge alone decides it
    flat: list[bool]  # of each group: nothing can be learnt from it
    means: dict[str, float]  # of each term, over what is known of it


def verdicts(table: Sequence[Sequence[float | None]], spec: RunSpec) -> Verdicts:
    """The rewards of whole groups from the columns of their samples."""
    names, size = terms_of(spec), spec.train.generations
    *known, without = (list(column) for column in zip(*table, strict=True))
    terms = dict(zip(names, known, strict=True))
    rewards = combined(terms, spec.weights, size, spec.train.unknown, gate=spec.gate)
    blind = (
        combined({**terms, "perception": without}, spec.weights, size, gate=spec.gate)
        if "perception" in terms
        else rewards
    )
    groups = range(0, len(rewards), size)
    return Verdicts(
        rewards,
        [
            "perception" in terms and decided_by_judge(_kept(rewards[g : g + size]), _kept(blind[g : g + size]))
            for g in groups
        ],
        [not differ(_kept(rewards[g : g + size])) for g in groups],
        {name: _mean(column) for name, column in terms.items()},
    )


def _kept(rewards: Sequence[float | None]) -> list[float]:
    return [reward for reward in rewards if reward is not None] or [0.0]


def _mean(column: Sequence[float | None]) -> float:
    known = [value for value in column if value is not None]
    return sum(known) / len(known) if known else float("nan")


def ledger_row(sample: Sample) -> dict[str, Any]:
    """A sample as the ledger keeps it; the trainer adds its place and its advantage."""
    judgements = sample.completion.judgements if sample.completion else ()
    counts = Counter(judgement.verdict for judgement in judgements)
    return {
        "problem": sample.row["problem"],
        "draw": sample.draw,
        "kept": sample.kept,
        "text": sample.text,
        "tokens": len(sample.ids),
        "truncated": sample.truncated,
        **sample.terms,
        **{verdict: counts[verdict] for verdict in get_args(Verdict)},
        "by_judge": sum(judgement.decided_by not in OURS for judgement in judgements),
        "judgements": [
            {"annotation": j.annotation, "verdict": j.verdict, "decided_by": j.decided_by} for j in judgements
        ],
    }
