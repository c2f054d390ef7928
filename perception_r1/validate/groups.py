"""What the gradient sees of a judge: how it orders the responses to a problem, and tells a fact from its edit."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import get_args

from perception_r1.judges import score
from perception_r1.records import Judgement, Verdict
from perception_r1.validate.gold import GoldVerdict

_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def pair_accuracy(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement]) -> float | None:
    """Of the pairs of a stated fact and one edit of it, the share whose two verdicts are both right."""
    stated: dict[tuple[str, str], bool] = {}
    edited: list[tuple[tuple[str, str], bool]] = []
    for row, judgement in zip(gold, judgements, strict=True):
        key, right = (row.problem, row.annotation), row.label == judgement.verdict
        if row.slice == "restated":
            stated[key] = right
        elif row.edited:
            edited.append((key, right))
    pairs = [stated[key] and right for key, right in edited if key in stated]
    return sum(pairs) / len(pairs) if pairs else None


def rank_agreement(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement]) -> float | None:
    """The mean over problems of Kendall's tau-b between rewards by labels and rewards by verdicts."""
    from scipy.stats import kendalltau

    found = [
        kendalltau(true, told).statistic
        for true, told in _groups(gold, judgements)
        if len(set(true)) > 1 and len(set(told)) > 1
    ]
    return float(sum(found) / len(found)) if found else None


def sign_agreement(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement]) -> float | None:
    """The share of responses that the verdicts put on the same side of their group's mean as the labels do."""
    same = [
        (a > 0) - (a < 0) == (b > 0) - (b < 0)
        for true, told in _groups(gold, judgements)
        for a, b in zip(_centred(true), _centred(told), strict=True)
    ]
    return sum(same) / len(same) if same else None


def _centred(rewards: Sequence[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    return [round(reward - mean, 9) for reward in rewards]


def _groups(gold: Sequence[GoldVerdict], judgements: Sequence[Judgement]) -> Iterator[tuple[list[float], list[float]]]:
    """For each problem the rewards of its responses, by labels and by verdicts, where both are known."""
    rows: dict[str, dict[str, list[tuple[Judgement, Judgement]]]] = defaultdict(lambda: defaultdict(list))
    for row, judgement in zip(gold, judgements, strict=True):
        rows[row.problem][row.response].append((Judgement(row.annotation, row.label, ""), judgement))
    for responses in rows.values():
        most = max(len({truth.annotation for truth, _ in pairs}) for pairs in responses.values())
        scored = [
            (score([truth for truth, _ in pairs]), score([told for _, told in pairs]))
            for pairs in responses.values()
            if len(pairs) == most
        ]
        known = [(true, told) for true, told in scored if true is not None and told is not None]
        if len(known) > 1:
            yield [true for true, _ in known], [told for _, told in known]
