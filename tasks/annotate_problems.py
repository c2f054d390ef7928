"""A data set in; problems out, with a list of the rows that are of no use, and what the data set says of the others."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from perception_r1.annotate.problems import Given, GivenKind, Refusal, Taken, taken
from perception_r1.annotate.sources import content_of
from perception_r1.errors import BadProblem
from perception_r1.records import Problem
from perception_r1.sections import Origin, identity
from perception_r1.table import records_of, schema_of, table_of
from storage import Artifact, Run, Store, stage
from tasks.job import Job
from tasks.progress import say, watching

AT_ONCE = 16  # problems with their pictures
TRUTH: tuple[GivenKind, ...] = ("logic_form",)  # what annotations are measured against, where it is there
KINDS: dict[Origin, tuple[GivenKind, ...]] = {
    "teacher": (),
    "responses": ("response",),
    "annotations": ("annotation",),
    "logic_forms": ("logic_form",),
}


def read_problems(job: Job) -> Run:
    """The finished run; its outputs are problems, refusals and, of data sets, what is given beside the problems."""
    settings, kinds = job.config.annotate.problems, KINDS[job.config.annotate.origin]
    config = {**identity(settings), "given": list(kinds), "path": Path(settings.path).name}
    config["content"] = content_of(settings)

    def body(work: Any) -> dict[str, Any]:
        refusals: list[Refusal] = []
        given: list[Given] = []
        rows = taken(settings, kinds, TRUTH)
        made: dict[str, Any] = {f"problems/{job.name()}": _problems(rows, refusals, given)}
        made[f"refusals/{job.name()}"] = late(refusals, Refusal)
        return made | ({f"given/{job.name()}": late(given, Given)} if settings.source != "world" else {})

    with watching("annotate: problems"):
        run = stage(job.store, "problems", [], config, body)
    _tell(job, run[f"refusals/{job.name()}"])
    return run


def _tell(job: Job, refusals: Artifact) -> None:
    """Says how many rows were refused, also where they were found; with strict one is too many."""
    if not refusals.rows:
        return
    first = next(job.store.stream(refusals)).slice(0, 1).to_pylist()[0]
    if job.config.annotate.problems.strict:
        raise BadProblem(f"{first['row']}: {first['reason']}")
    told = f"the first: {first['row']}: {first['reason']}"
    say(f"  {refusals.rows:,} rows refused, {told}; all of them: perception-r1 show {refusals.version}")


def _problems(rows: Iterable[Taken | Refusal], refusals: list[Refusal], given: list[Given]) -> Iterator[pa.Table]:
    """The problems, a few at a time; the rest of what is read goes to the lists."""
    useful = _useful(rows, refusals, given)
    count = 0
    yield schema_of(Problem).empty_table()
    while some := list(islice(useful, AT_ONCE)):
        count += len(some)
        yield table_of(some, Problem)
    if not count:
        told = f"{refusals[0].row}: {refusals[0].reason}" if refusals else "there are no rows"
        raise BadProblem(f"not one of {len(refusals):,} rows can be used; the first: {told}")


def _useful(rows: Iterable[Taken | Refusal], refusals: list[Refusal], given: list[Given]) -> Iterator[Problem]:
    for row in rows:
        if isinstance(row, Refusal):
            refusals.append(row)
        else:
            given += row.given
            yield row.problem


def late(records: list[Any], record: type) -> Iterator[pa.Table]:
    """A table of records that are there by the time it is read."""
    yield table_of(records, record)


class Stored:
    """The problems of an artifact, as often as they are gone through; never more than a row group in memory."""

    def __init__(self, store: Store, problems: Artifact, *, pictures: bool) -> None:
        self._store, self._problems = store, problems
        self._columns = [name for name in schema_of(Problem).names if pictures or name != "images"]

    def __iter__(self) -> Iterator[Problem]:
        for batch in self._store.stream(self._problems, self._columns):
            for start in range(0, batch.num_rows, AT_ONCE):
                rows = batch.slice(start, AT_ONCE).to_pylist()
                yield from records_of([{"images": (), **row} for row in rows], Problem)

    def __len__(self) -> int:
        return self._problems.rows or 0
