"""What people say: a CSV of labels, how far the people agree, and the majority's labels as gold.

    response,annotation,label,rater,arm,problem
    "<think>Bar A is 7.</think> ...",Bar A is 7.,supported,anna,base,p17

`arm` (whose response it is) and `problem` may be left out; without a rater column everything is of one rater.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import get_args

from perception_r1.errors import ConfigError
from perception_r1.validate.gold import GoldVerdict
from perception_r1.validate.slices import Label

NEEDED = ("response", "annotation", "label")
SLICE = "labelled by people"
_LABELS: tuple[Label, ...] = get_args(Label)

Item = tuple[str, str]  # a response and an annotation


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """One person's label for one annotation in one response."""

    response: str
    annotation: str
    label: Label
    rater: str
    arm: str
    problem: str


@dataclass(frozen=True, slots=True)
class RaterPair:
    """How far two people agree on what both have labelled."""

    raters: str
    n: int
    agreed: float
    kappa: float  # Cohen's; 0 where both use one label only


def read_labels(path: Path) -> list[HumanLabel]:
    """The labels of a file; raises ConfigError with the line that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_labels(path, csv.DictReader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"validate.labels: {path} cannot be read as a CSV file in UTF-8: {error}") from None


def _labels(path: Path, rows: "csv.DictReader[str]") -> Iterator[HumanLabel]:
    missing = [name for name in NEEDED if name not in (rows.fieldnames or ())]
    if missing:
        raise ConfigError(f"validate.labels: {path} has no column {missing[0]!r}; it needs {', '.join(NEEDED)}")
    seen: set[tuple[Item, str]] = set()
    for row in rows:
        where, told = f"validate.labels: {path}, line {rows.line_num}", (row["label"] or "").strip().lower()
        label = next((name for name in _LABELS if name == told), None)
        if label is None:
            raise ConfigError(f"{where}: label {told!r} is unknown; known: {', '.join(_LABELS)}")
        item, rater = (row["response"] or "", (row["annotation"] or "").strip()), (row.get("rater") or "").strip()
        if not item[1] or (item, rater) in seen:
            raise ConfigError(f"{where}: {'one rater labels this twice' if item[1] else 'the annotation is empty'}")
        seen.add((item, rater))
        yield HumanLabel(*item, label, rater, (row.get("arm") or "").strip(), (row.get("problem") or "").strip())


def agreement(labels: Sequence[HumanLabel]) -> list[RaterPair]:
    """Every two people who have labelled something both, and how far they agree."""
    by_rater: dict[str, dict[Item, Label]] = defaultdict(dict)
    for each in labels:
        by_rater[each.rater][each.response, each.annotation] = each.label
    found = []
    for one, two in combinations(sorted(by_rater), 2):
        both = sorted(by_rater[one].keys() & by_rater[two].keys())
        if both:
            pairs = [(by_rater[one][item], by_rater[two][item]) for item in both]
            found.append(RaterPair(f"{one}, {two}", len(both), sum(a == b for a, b in pairs) / len(both), kappa(pairs)))
    return found


def kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Cohen's kappa of two people's labels; 0 where chance alone would agree always."""
    n, first, second = len(pairs), Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    agreed = sum(a == b for a, b in pairs) / n
    chance = sum(first[label] * second[label] for label in first) / n**2
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


def majority(labels: Sequence[HumanLabel]) -> tuple[list[GoldVerdict], int]:
    """The labels that most people gave, as gold of the test split, and how many are left out for having no majority."""
    by_item: dict[Item, list[HumanLabel]] = defaultdict(list)
    for each in labels:
        by_item[each.response, each.annotation].append(each)
    gold = []
    for number, (item, given) in enumerate(by_item.items()):
        votes = Counter(each.label for each in given).most_common()
        if len(votes) == 1 or votes[0][1] > votes[1][1]:
            first, id = given[0], f"people-{number:05}"
            problem = first.problem or f"people-{item[0]}"
            says = f"{votes[0][1]} of {len(given)} people"
            gold.append(GoldVerdict(id, problem, id, item[1], item[0], votes[0][0], SLICE, says, arm=first.arm))
    return gold, len(by_item) - len(gold)
