"""Every completion of training with its rewards, verdicts and advantage: one Parquet file a step and process.

    duckdb -c "SELECT step, avg(perception), avg(tokens) FROM 'rollouts/*.parquet' GROUP BY step ORDER BY step"

works while the run goes on: a file is there when it is whole. A run that is killed loses the step that it was at.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from perception_r1.sections import Weight

TERMS: tuple[Weight, ...] = ("accuracy", "format", "repetition", "perception", "paper_repetition", "overlong")
SCHEMA = pa.schema(
    [
        ("step", pa.int64()),  # of the policy that said it: the optimiser steps behind it
        ("process", pa.int64()),
        ("sampling_seed", pa.int64()),  # what the process's generators were seeded with at the start of the run
        ("draw", pa.int64()),  # 0; more for a group that took the place of one without variance
        ("kept", pa.bool_()),  # false: another group took its place, and nothing was learnt from it
        ("problem", pa.string()),
        ("group", pa.int64()),  # within the step
        ("sample", pa.int64()),  # within the group
        ("text", pa.string()),
        ("tokens", pa.int64()),
        ("truncated", pa.bool_()),
        *((term, pa.float64()) for term in TERMS),  # null: not asked for, or not known
        ("reward", pa.float64()),  # what they came to, with what is not known filled in; null: the row was left out
        ("advantage", pa.float64()),  # null where it was not kept
        ("by_judge_alone", pa.bool_()),  # its group would have been tied without the judge's verdicts
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
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(path)


def read(folder: Path) -> Iterator[pa.Table]:
    """The steps' rows in order."""
    for path in sorted(folder.glob("*.parquet")):
        yield pq.read_table(path)
