"""Units of work: `stage` runs a body once for each cause, finds it again ever after, and resumes it when it was killed.

It is the only cache of the project. The key of a run is sha256 of the stage's name, the digest of the code it imports
from this project, its configuration and the content digests of its inputs; nothing else may influence the result.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from storage import folders, tables
from storage.artifact import Artifact, Json, Ref, check_name, digest_of, plain, seal, unseal, version_key
from storage.errors import BadData, BadName, Damaged, Expired, NotFound, Unwritable, writing
from storage.locks import flock
from storage.logs import FLUSH_S, Log, log_folder
from storage.place import publish_bytes, sync_file, sync_folder, temporary
from storage.provenance import code_of
from storage.store import AnyRef, Store, now

Body = Callable[["Work"], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished unit of work; `reused` tells whether it was found rather than done."""

    key: str
    attempt: int
    stage: str
    outputs: dict[str, Artifact]  # in the order of their names, done or found: a key depends on the order of inputs
    reused: bool

    def __getitem__(self, output: str) -> Artifact:
        return self.outputs[output]


class Work:
    """What a body works with: a folder that survives crashes, shards that are done once, logs, and a bill."""

    def __init__(self, store: Store, key: str, attempt: int, lock: int) -> None:
        self.store = store
        self.run = f"{key}.{attempt}"
        self.path = store.place.scratch / "work" / self.run
        self.lock = lock  # hand this descriptor to a child process (pass_fds): the run stays locked while it lives
        self.cost: float | None = None
        self.logs: list[Log] = []
        self._started = time.monotonic()

    @property
    def duration_s(self) -> float:
        """Seconds since this process began the work."""
        return round(time.monotonic() - self._started, 3)

    def shard(self, number: int | str, make: Callable[[Any], Any], schema: pa.Schema | None = None) -> pa.Table:
        """The rows of `make(number)`, made once however often the work is killed.

        Shards that are streamed into one output need the same columns: pass `schema` if some may be empty or all null.
        """
        path = self.path / "shards" / f"{check_name(str(number), 'shard')}.parquet"
        if path.exists():
            try:
                return tables.read(path)
            except Damaged:
                path.unlink()
        rows = make(number)
        if isinstance(rows, list) and not rows and schema is None:
            raise BadData(f"shard {number} of {self.path.name} has no rows: pass schema= so that its columns are known")
        with writing(self.store.place.scratch):
            path.parent.mkdir(exist_ok=True)
        with temporary(self.store.place, ".parquet") as partial:
            tables.stage_table(partial, rows, schema)
            with writing(self.store.place.scratch):
                sync_file(partial)
                partial.rename(path)
                sync_folder(path.parent)
        return tables.read(path)

    def log(self, kind: str, name: str, schema: pa.Schema | None = None, flush_s: float = FLUSH_S) -> Log:
        """The log of this run under that kind and name, with the rows of earlier tries; return it as an output."""
        log = Log(log_folder(self.store.place.scratch, kind, name, self.run), schema, flush_s)
        self.logs.append(log)
        return log

    def begin(self, plan: Json) -> None:
        """Makes the folder and writes down what it is for; gc keeps the inputs named there."""
        with writing(self.store.place.scratch):
            self.path.mkdir(parents=True, exist_ok=True)
            # a try that was killed may have left files that are the store's by now
            folders.own_files(self.store.place, self.path)
            with temporary(self.store.place) as path:
                path.write_bytes(seal(plan))
                path.rename(self.path / "run.json")

    def checked(self, outputs: Any) -> Mapping[str, Any]:
        """What the body returned, if it can be its outputs; a log that was left out would be lost."""
        if not isinstance(outputs, Mapping):
            raise BadData(f"a body returns its outputs as {{'kind/name': rows}}, got {type(outputs).__name__}")
        forgotten = [log for log in self.logs if not any(log is data for data in outputs.values())]
        if forgotten:
            raise BadData(
                f"the log {forgotten[0].folder.parent} was opened and is not among the outputs: return it too"
            )
        return outputs

    def close(self) -> None:
        """Frees the logs."""
        for log in self.logs:
            log.close()

    def remove(self) -> None:
        """Takes away the folder and the logs, once all that was in them is in the store."""
        for log in self.logs:
            shutil.rmtree(log.folder)
        shutil.rmtree(self.path)


def stage(
    store: Store,
    name: str,
    inputs: Iterable[AnyRef],
    config: Mapping[str, Any],
    body: Body,
    *,
    code: Iterable[ModuleType | str | Callable[..., Any]] = (),
    force: bool = False,
) -> Run:
    """The finished run of this stage for these inputs, this config and this code: found, or done now.

    `body(work)` returns its outputs as {"kind/name": rows, folder or log}; a folder below `work.path` is taken over
    without a copy. Of several processes with the same key one works and the others wait for its result. `code` names
    modules that the body starts by name (a child process, a table of plug-ins). `force` does a finished run again,
    as a further attempt that is then the one found.
    """
    versions = [store.whole(ref) for ref in inputs]
    written = code_of(body, *code)
    config = plain(config, f"the config of stage {name}")
    cause = {"stage": check_name(name, "stage"), "code": written.digest, "config": config}
    key = digest_of(cause | {"inputs": [version.digest for version in versions]})
    if not force and (found := _finished(store, key, _attempts(store, key))):
        return found  # without the lock: a store that may only be read is enough
    with flock(store.place.scratch / "locks" / "runs" / key) as lock:
        attempts = _attempts(store, key)
        if not force and (found := _finished(store, key, attempts)):
            return found
        work = Work(store, key, attempts + 1, lock)
        named = [{"version": version.version, "digest": version.digest} for version in versions]
        work.begin(cause | {"inputs": named, "started": now(), "producer": store.producer})
        try:
            outputs = {
                output: _put(store, work, output, data, parents=versions, config=config, code=written)
                for output, data in work.checked(body(work)).items()
            }
        finally:
            work.close()
        _publish(store, key, attempts + 1, cause | {"inputs": named}, outputs, work)
        work.remove()
    return Run(key, attempts + 1, name, dict(sorted(outputs.items())), reused=False)


def _put(store: Store, work: Work, output: str, data: Any, **cause: Any) -> Artifact:
    ref = Ref.parse(output)
    if ref.seq or ref.tag:
        raise BadName(f"a body's output is named kind/name, without number or tag: got {output!r}")
    own = isinstance(data, Path) and work.path.resolve() in data.resolve().parents
    return store.put(ref.kind, ref.name, data, run=work.run, adopt=own, meter=work, **cause)


def _attempts(store: Store, key: str) -> int:
    """How many attempts are on record; their numbers have no gaps."""
    count = 0
    while store.place.exists(f"runs/{key}.{count + 1}.json"):
        count += 1
    return count


def _finished(store: Store, key: str, attempt: int) -> Run | None:
    """The newest attempt, if all of its outputs can still be read."""
    if not attempt:
        return None
    where = f"runs/{key}.{attempt}.json"
    try:
        record = unseal(store.place.local(where).read_bytes(), where)
        outputs = {output: store.whole(version) for output, version in sorted(record["outputs"].items())}
        for version in outputs.values():
            store.path(version)
    except (NotFound, Damaged, Expired):
        return None
    with suppress(Unwritable), store.writing():  # as young as if it had been made now: gc leaves it
        for version in outputs.values():
            store.place.touch(version_key(version.kind, version.name, version.seq))
    return Run(key, attempt, record["stage"], outputs, reused=True)


def _publish(store: Store, key: str, attempt: int, cause: Json, outputs: dict[str, Artifact], work: Work) -> None:
    record = cause | {
        "key": key,
        "attempt": attempt,
        "outputs": {output: version.version for output, version in outputs.items()},
        "finished": now(),
        "duration_s": work.duration_s,
        "cost": work.cost,
        "producer": store.producer,
    }
    publish_bytes(store.place, f"runs/{key}.{attempt}.json", seal(record))
