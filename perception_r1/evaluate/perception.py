"""What responses say of their pictures, where the facts are known: apart from whether they answer rightly."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from perception_r1.evaluate.metrics import Metric, clustered, share

Row = Mapping[str, Any]


def perception(rows: Sequence[Row]) -> list[Metric]:
    """All facts right and none contradicted; precision and recall of what is stated, by type; the language shortcut.

    Precision is of the claims that are right or wrong, recall of the known facts; a verdict that is unknown counts in
    neither, and a question without a response has none. The shortcut is a right answer without a right reading, of all
    answers that are right.
    """
    known = [row for row in rows if row["facts"]]
    if not known:
        return []
    seen = [row for row in known if row["perceived"] is not None]
    right = [row for row in seen if row["correct"]]
    unknown = sum(verdict["verdict"] == "unknown" for row in known for verdict in row["verdicts"])
    found = [
        _share_of("all facts right", seen, "perceived"),
        share("language shortcut", (not row["perceived"] for row in right)),
        share("seen and still wrong", (bool(row["perceived"]) for row in seen if row["correct"] is False)),
        *_stated("", known, None),
        Metric(name="verdicts unknown", value=float(unknown), n=len(known)),
    ]
    types = sorted({verdict["type"] for row in known for verdict in row["verdicts"]})
    return found + [metric for kind in types for metric in _stated(f", {kind}", known, kind)]


def _share_of(name: str, rows: Sequence[Row], key: str) -> Metric:
    groups: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(bool(row[key]))
    return clustered(name, [(sum(group), len(group)) for group in groups.values()])


def _stated(suffix: str, rows: Sequence[Row], kind: str | None) -> list[Metric]:
    """Precision and recall of the stated facts, of one type or of all."""
    precision, recall = [], []
    for row in rows:
        told = Counter((v["verdict"], v["known"]) for v in row["verdicts"] if kind in (None, v["type"]))
        right = told["supported", True]
        precision.append((right, right + told["contradicted", True] + told["contradicted", False]))
        recall.append((right, right + told["contradicted", True] + told["absent", True]))
    return [_ratio(f"precision of facts{suffix}", precision), _ratio(f"recall of facts{suffix}", recall)]


def _ratio(name: str, parts: Sequence[tuple[int, int]]) -> Metric:
    return clustered(name, [part for part in parts if part[1]])
