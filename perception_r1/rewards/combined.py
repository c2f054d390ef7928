"""One reward from several, when one of them may be unknown.

A sum that leaves the unknown out scores it 0: in a group of completions, the best one whose judge fails loses most of
its advantage. Here an unknown reward is neutral in its group, or takes its whole row out.
`terms_G` are the rewards of the completions of one prompt; `terms` those of many prompts, group after group.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from perception_r1.sections import Weight

Unknown = Literal["group_mean", "drop_row"]


def impute(terms_G: Sequence[float | None]) -> list[float]:  # noqa: N803
    """The rewards of one group, an unknown one as the mean of the known; 0 for all if none is known."""
    known = [term for term in terms_G if term is not None]
    mean = sum(known) / len(known) if known else 0.0
    return [mean if term is None else term for term in terms_G]


def combined(
    terms: Mapping[Weight, Sequence[float | None]],
    weights: Mapping[Weight, float],
    generations: int,
    unknown: Unknown = "group_mean",
    *,
    gate: bool = False,
) -> list[float | None]:
    """The weighted sum of the rewards that have a weight, for each completion; None for a row that is dropped.

    With a gate, a right answer pays as far as it was seen: its reward times the perception's, from 0 to 1.
    """
    filled = {name: _filled(terms[name], generations) for name in terms if weights.get(name)}
    if not filled:
        raise ValueError("no reward has a weight: give one of them a weight")
    if gate and "accuracy" in filled:
        seen = _filled(terms["perception"], generations)
        filled["accuracy"] = [
            right * min(1.0, max(0.0, share)) for right, share in zip(filled["accuracy"], seen, strict=True)
        ]
    columns = [(weights[name], column) for name, column in filled.items()]
    sums = [sum(weight * column[row] for weight, column in columns) for row in range(len(columns[0][1]))]
    if unknown == "group_mean":
        return list(sums)
    asked = {*filled, *(["perception"] if gate else [])}
    lost = {row for name in terms if name in asked for row, term in enumerate(terms[name]) if term is None}
    return [None if row in lost else total for row, total in enumerate(sums)]


def _filled(column: Sequence[float | None], generations: int) -> list[float]:
    if len(column) % generations:
        raise ValueError(f"{len(column)} rewards are no whole number of groups of {generations}")
    groups = (column[start : start + generations] for start in range(0, len(column), generations))
    return [term for group in groups for term in impute(group)]
