"""Every completion of training with its rewards, verdicts and advantage: one Parquet file a step and process."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from perception_r1.sections import Weight

TERMS: tuple[Weight, ...] = ("accuracy", "format", "repetition", "perception")
SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("process", pa.int64()),
        ("problem", pa.string()),
        ("group", pa.int64()),  # within the step
        ("sample", pa.int64()),  # within the group
        ("text", pa.string()),
        ("tokens", pa.int64()),
        ("truncated", pa.bool_()),
        *((term, pa.float64()) for term in TERMS),  # null: not asked for, or not known
        ("advantage", pa.float64()),
        *((verdict, pa.int64()) for verdict in ("supported", "contradicted", "absent", "unknown")),
        ("by_judge", pa.int64()),  # verdicts that the matcher left to the judge
        (
            "judgements",
            pa.list_(
                pa.struct([("annotation", pa.string()), ("verdict", pa.string()), ("decided_by", pa.string())]),
            ),
        ),
    ]
)


def write(folder: Path, step: int, process: int, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the rows of a step; written again after a resume they are the same."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{step:08}-{process:04}.parquet"
    partial = path.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), partial)
    partial.replace(path)


def read(folder: Path) -> Iterator[pa.Table]:
    """The steps' rows in order."""
    for path in sorted(folder.glob("*.parquet")):
        yield pq.read_table(path)
