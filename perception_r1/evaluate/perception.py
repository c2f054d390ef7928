"""What responses say of their pictures, where the facts are known: apart from whether they answer rightly."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from perception_r1.evaluate.metrics import Metric, clustered, grouped

Row = Mapping[str, Any]
Counts = dict[str, tuple[int, int]]  # of each group, how many are right and how many there are


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
        grouped("all facts right", ((row["group"], row["perceived"]) for row in seen)),
        grouped("language shortcut", ((row["group"], not row["perceived"]) for row in right)),
        grouped("seen and still wrong", ((row["group"], row["perceived"]) for row in seen if row["correct"] is False)),
        *_stated("", known, None),
        Metric(name="verdicts unknown", value=float(unknown), n=len(known)),
    ]
    types = sorted({verdict["type"] for row in known for verdict in row["verdicts"]})
    return found + [metric for kind in types for metric in _stated(f", {kind}", known, kind)]


def _stated(suffix: str, rows: Sequence[Row], kind: str | None) -> list[Metric]:
    """Precision and recall of the stated facts, of one type or of all."""
    precision: Counts = defaultdict(lambda: (0, 0))
    recall: Counts = defaultdict(lambda: (0, 0))
    for row in rows:
        told = Counter((v["verdict"], v["known"]) for v in row["verdicts"] if kind in (None, v["type"]))
        right, wrong = told["supported", True], told["contradicted", True]
        _add(precision, row["group"], right, right + wrong + told["contradicted", False])
        _add(recall, row["group"], right, right + wrong + told["absent", True])
    return [_ratio(f"precision of facts{suffix}", precision), _ratio(f"recall of facts{suffix}", recall)]


def _add(counts: Counts, group: str, right: int, n: int) -> None:
    before = counts[group]
    counts[group] = before[0] + right, before[1] + n


def _ratio(name: str, counts: Counts) -> Metric:
    return clustered(name, [part for part in counts.values() if part[1]])
