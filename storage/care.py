"""Looking after a store: is everything what its digest says, what takes the space, what can go."""

import re
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage import tables
from storage.artifact import Artifact, object_key, unseal, version_key
from storage.digest import file_hash
from storage.errors import Busy, Damaged
from storage.folders import read_manifest
from storage.locks import flock, is_held
from storage.records import artifacts
from storage.store import Store, check_format, now
from storage.versions import json_names, tag_key

OBJECT = re.compile(r"[0-9a-f]{64}(\.parquet|\.dir\.json)?")
DAY_S = 24 * 3600.0

Watch = Callable[[int, int], None]  # how many of how many objects are done


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. "damaged" has lost something; "leftover" only takes space."""

    level: Literal["damaged", "leftover"]
    what: str
    problem: str
    remedy: str


def verify(store: Store, watch: Watch | None = None) -> list[Finding]:
    """Everything that is wrong with the store: each record is read, each object hashed again."""
    versions: list[Artifact] = []
    findings = [*_check_layout(store), *_check_records(store, versions)]
    vouched, broken = _vouched(store, versions)
    findings += broken
    suspects = {}
    for done, (key, file_hashes) in enumerate(sorted(vouched.items())):
        if watch:
            watch(done, len(vouched))
        if damage := list(_check_object(store, key, file_hashes)):
            suspects[key] = damage
    if suspects:  # unless gc has taken them in the meantime
        still, _ = _vouched(store, versions)
        findings += [finding for key, damage in suspects.items() if key in still for finding in damage]
    if not any(finding.level == "damaged" for finding in findings):  # else who knows what a lost record needs
        remedy = "perception-r1 gc --delete removes it once it is a day old"
        spare = [key for key in _objects(store) if key not in vouched]
        findings += [Finding("leftover", key, "no version needs it", remedy) for key in spare]
    return findings + list(_check_moving(store)) + list(_check_scratch(store))


def _check_layout(store: Store) -> Iterator[Finding]:
    try:
        check_format(store.place)
    except Damaged as error:
        yield Finding("damaged", "store.json", str(error), "restore it from a copy of the store")


def _check_records(store: Store, versions: list[Artifact]) -> Iterator[Finding]:
    """Damaged and missing records; collects the good ones."""
    restore = "restore it from a copy of the store"
    for kind in store.versions.kinds():
        for name in store.versions.names(kind):
            seqs = store.versions.seqs(kind, name)
            for gap in sorted(set(range(1, (seqs or [0])[-1])) - set(seqs)):
                yield Finding("damaged", f"versions/{kind}/{name}/{gap:08d}.json", "the record is missing", restore)
            for seq in seqs:
                try:
                    versions.append(store.versions.read(kind, name, seq))
                except Damaged as error:
                    yield Finding("damaged", f"versions/{kind}/{name}/{seq:08d}.json", str(error), restore)
    for file in json_names(store.place, "runs"):
        try:
            unseal(store.place.local(f"runs/{file}").read_bytes(), f"runs/{file}")
        except Damaged as error:
            yield Finding("damaged", f"runs/{file}", str(error), "remove it: its stage will run again")


def _vouched(store: Store, versions: list[Artifact]) -> tuple[dict[str, set[str]], list[Finding]]:
    """The objects that versions need, with the file hashes that are known for each; and the manifests that are broken.

    The JSON that records point to stays as long as the records, which is for ever.
    """
    expired = store.versions.expired()
    objects: dict[str, set[str]] = defaultdict(set)
    broken = []
    for version in versions:
        for digest in (version.environment, version.code.get("digest")):
            if digest:
                objects[object_key(digest)] |= set()
        if version.version in expired:
            continue
        objects[version.key] |= {version.file_sha256} if version.file_sha256 else set()
        if version.format == "folder":
            try:
                entries = read_manifest(store.place, version.digest)
            except Damaged as error:
                broken.append(Finding("damaged", version.key, str(error), "restore it from a copy of the store"))
                continue
            objects |= {object_key(entry["sha256"]): set() for entry in entries if "sha256" in entry}
    return objects, broken


def _check_object(store: Store, key: str, file_hashes: set[str]) -> Iterator[Finding]:
    remedy = "restore it from a copy, or remove it and run the stage that made it with --force"
    digest = key.rpartition("/")[2].partition(".")[0]
    try:
        path = store.place.local(key, fresh=True)
    except FileNotFoundError:
        yield Finding("damaged", key, "a version needs it and it is missing", remedy)
        return
    found = file_hash(path)
    if not key.endswith(".parquet"):
        if found != digest:
            yield Finding("damaged", key, f"its bytes hash to {found[:12]}...", remedy)
        return
    if file_hashes and found not in file_hashes:
        yield Finding("damaged", key, f"its bytes hash to {found[:12]}..., which no record vouches for", remedy)
        return
    try:
        if tables.digest_file(path) != digest:
            yield Finding("damaged", key, "its rows have another digest", remedy)
    except Damaged as error:
        yield Finding("damaged", key, str(error), remedy)


def _objects(store: Store) -> Iterator[str]:
    for shelf in store.place.names("objects"):
        yield from (
            f"objects/{shelf}/{name}" for name in store.place.names(f"objects/{shelf}") if OBJECT.fullmatch(name)
        )


def _check_moving(store: Store) -> Iterator[Finding]:
    """Tags and the lists of what was collected."""
    restore = "restore it from a copy of the store"
    for file in json_names(store.place, "expired"):
        try:
            store.versions.collection(file)
        except Damaged as error:
            yield Finding("damaged", f"expired/{file}", str(error), restore)
    for kind in store.place.names("tags"):
        for name in store.place.names(f"tags/{kind}"):
            seqs = set(store.versions.seqs(kind, name))
            for file in json_names(store.place, f"tags/{kind}/{name}"):
                yield from _check_tag(store, kind, name, file.removesuffix(".json"), seqs)


def _check_tag(store: Store, kind: str, name: str, tag: str, seqs: set[int]) -> Iterator[Finding]:
    remedy = f"move it with `perception-r1 tag`, or remove it: `perception-r1 untag {kind}/{name}:{tag}`"
    try:
        version = store.versions.tagged(kind, name, tag)
    except Damaged as error:
        yield Finding("damaged", tag_key(kind, name, tag), str(error), remedy)
    except FileNotFoundError:
        return  # untagged in the meantime
    else:
        seq = int(version.rpartition("@")[2])
        if seq not in seqs and not store.place.exists(version_key(kind, name, seq)):
            yield Finding("damaged", tag_key(kind, name, tag), f"it points to {version}, which is gone", remedy)


def _check_scratch(store: Store) -> Iterator[Finding]:
    for path in filter(_abandoned, _below(store, "tmp")):
        yield Finding(
            "leftover", f"tmp/{path.name}", "a write that did not end", "perception-r1 gc --delete removes it"
        )
    for path in _below(store, "work"):
        if not _running(store, path):
            done = _recorded(store, path)
            problem = "a finished run's folder" if done else f"an unfinished run of {_stage_of(path)}"
            remedy = "perception-r1 gc --delete removes it" if done else "run the stage again: it goes on from here"
            yield Finding("leftover", f"work/{path.name}", problem, remedy)
    for path in sorted((store.place.scratch / "logs").glob("*/*/*")):
        if not is_held(path / "lock"):
            what = str(path.relative_to(store.place.scratch))
            yield Finding("leftover", what, "a log that nobody writes", "run its stage again: it goes on from here")


def _abandoned(temporary: Path) -> bool:
    """Whether nobody writes the temporary file any more; one that goes away meanwhile was written to its end."""
    return temporary.exists() and not is_held(temporary)


def _below(store: Store, folder: str) -> list[Path]:
    path = store.place.scratch / folder
    return sorted(path.iterdir()) if path.is_dir() else []


def _running(store: Store, work: Path) -> bool:
    return is_held(store.place.scratch / "locks" / "runs" / work.name.partition(".")[0])


def _recorded(store: Store, work: Path) -> bool:
    return store.place.exists(f"runs/{work.name}.json")


def _stage_of(work: Path) -> str:
    try:
        return str(unseal((work / "run.json").read_bytes(), str(work))["stage"])
    except (OSError, Damaged):
        return "a stage"


@dataclass(frozen=True, slots=True)
class Collection:
    """What gc would take, or took: versions whose data nobody holds, objects nobody needs, leftovers."""

    versions: tuple[str, ...]
    objects: tuple[str, ...]
    leftovers: tuple[str, ...]
    bytes: int
    deleted: bool


def gc(
    store: Store, *, keep: int = 10, grace_s: float = DAY_S, unfinished: bool = False, delete: bool = False
) -> Collection:
    """What can go; with `delete` it goes.

    Held are: tagged versions, the newest `keep` of each name, everything younger than `grace_s`, the inputs of
    unfinished runs, and every ancestor of one of these. The record of a collected version stays. Writers on this
    machine are kept out by a lock while it deletes; writers elsewhere by the grace period. `unfinished` takes the work
    folders and logs of runs that ended without finishing, too.
    """
    if keep < 1:
        raise ValueError("keep must be at least 1: the newest version of a name is never collected")
    check_format(store.place)
    if not delete:
        return _plan(store, keep, grace_s, unfinished)
    with flock(store.place.scratch / "locks" / "gc"):
        plan = _plan(store, keep, grace_s, unfinished)
        if plan.versions:
            store.versions.expire(list(plan.versions), now())
        for key in plan.objects:
            store.place.remove(key)
        for name in plan.leftovers:
            _remove_idle(store, store.place.scratch / name)
    return Collection(plan.versions, plan.objects, plan.leftovers, plan.bytes, deleted=True)


def _plan(store: Store, keep: int, grace_s: float, unfinished: bool) -> Collection:
    clock = time.time()
    versions = _sound_versions(store)
    expired = store.versions.expired()
    whole = [version for version in versions if version.version not in expired]
    held = _held(store, whole, keep, grace_s, clock)
    going = {version.version for version in whole} - held
    needed, broken = _vouched(store, [version for version in versions if version.version not in going])
    _refuse_if(broken)
    objects = [key for key in _objects(store) if key not in needed and _older(store, key, clock, grace_s)]
    digests = {key.rpartition("/")[2].partition(".")[0] for key in needed}
    leftovers = [path for path in filter(_abandoned, _below(store, "tmp")) if clock - _written(path) > grace_s]
    leftovers += [path for path in _below(store, "views") if path.name not in digests]
    leftovers += list(_ended_work(store, unfinished, grace_s, clock))
    return Collection(
        versions=tuple(version.version for version in whole if version.version in going),
        objects=tuple(objects),
        leftovers=tuple(str(path.relative_to(store.place.scratch)) for path in leftovers),
        bytes=sum(store.place.size(key) for key in objects) + sum(map(_weight, leftovers)),
        deleted=False,
    )


def _sound_versions(store: Store) -> list[Artifact]:
    """Every version from its own record. What a lost or damaged one needs is not known, so gc refuses then."""
    versions: list[Artifact] = []
    findings = [*_check_records(store, versions), *_check_moving(store)]
    _refuse_if([finding for finding in findings if not finding.what.startswith("runs/")])
    return versions


def _refuse_if(findings: list[Finding]) -> None:
    if findings:
        first = f"{findings[0].what}: {findings[0].problem}"
        raise Damaged(f"gc takes nothing from a damaged store (see `perception-r1 verify`): {first}")


def _older(store: Store, key: str, clock: float, grace_s: float) -> bool:
    try:
        return store.place.age_s(key, clock) > grace_s
    except FileNotFoundError:  # another gc was faster
        return False


def _held(store: Store, versions: list[Artifact], keep: int, grace_s: float, clock: float) -> set[str]:
    by_version = {version.version: version for version in versions}
    by_name: dict[tuple[str, str], list[Artifact]] = defaultdict(list)
    for version in versions:
        by_name[version.kind, version.name].append(version)
    waiting = [version.version for group in by_name.values() for version in group[-keep:]]
    waiting += [tagged for kind, name in by_name for tagged in store.versions.tags(kind, name).values()]
    waiting += [v.version for v in versions if store.place.age_s(version_key(v.kind, v.name, v.seq), clock) <= grace_s]
    waiting += [parent["version"] for plan in _unfinished_plans(store) for parent in plan["inputs"]]
    held: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in held and name in by_version:
            held.add(name)
            waiting += [parent.version for parent in by_version[name].parents]
    return held


def _unfinished_plans(store: Store) -> Iterator[dict[str, list[dict[str, str]]]]:
    for path in _below(store, "work"):
        with suppress(OSError, Damaged):
            yield unseal((path / "run.json").read_bytes(), str(path))


def _ended_work(store: Store, unfinished: bool, grace_s: float, clock: float) -> Iterator[Path]:
    """Folders and logs of runs that are on record, or (if asked) that nobody runs any more."""
    logs = sorted((store.place.scratch / "logs").glob("*/*/*"))
    for path in [*_below(store, "work"), *logs]:
        idle = not _running(store, path) and not is_held(path / "lock")
        if idle and (_recorded(store, path) or (unfinished and clock - _written(path) > grace_s)):
            yield path


def _written(path: Path) -> float:
    """When something in it was last written."""
    times = [time.time()]  # what goes away while it is looked at is young
    with suppress(FileNotFoundError):
        times = [file.lstat().st_mtime for file in (path, *path.rglob("*"))]
    return max(times)


def _remove_idle(store: Store, path: Path) -> None:
    """Removes a leftover unless somebody has taken it up again since it was planned."""
    run = path.name.partition(".")[0]
    locks = {"work": store.place.scratch / "locks" / "runs" / run, "logs": path / "lock", "tmp": path}
    lock = locks.get(path.relative_to(store.place.scratch).parts[0])
    # a temporary file is its own lock: its writer, who may be between making and locking it, must see it gone or kept
    with suppress(Busy), flock(lock, wait=False) if lock else nullcontext():
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _weight(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    weight = 0
    for file in files:
        with suppress(FileNotFoundError):
            weight += file.lstat().st_size if file.is_file() and not file.is_symlink() else 0
    return weight


def _content(store: Store, version: Artifact) -> list[str]:
    """The keys of a version's own content."""
    if version.format == "table":
        return [version.key]
    with suppress(Damaged):
        entries = read_manifest(store.place, version.digest)
        return [version.key, *(object_key(entry["sha256"]) for entry in entries if "sha256" in entry)]
    return [version.key]


@dataclass(frozen=True, slots=True)
class Usage:
    """The space of one kind (or of scratch): what its versions would weigh alone, and what they take, shared."""

    what: str
    versions: int
    logical_bytes: int
    stored_bytes: int


def du(store: Store) -> list[Usage]:
    """The space by kind, then by scratch folder. Objects that kinds share count for the first of them."""
    expired = store.versions.expired()
    versions = [version for version in artifacts(store) if version.version not in expired]
    counted: set[str] = set()
    rows = []
    for kind in sorted({version.kind for version in versions}):
        group = [version for version in versions if version.kind == kind]
        keys = {key for version in group for key in _content(store, version)} - counted
        counted |= keys
        stored = sum(store.place.size(key) for key in keys if store.place.exists(key))
        rows.append(Usage(kind, len(group), sum(version.bytes for version in group), stored))
    other = [key for key in _objects(store) if key not in counted]
    weights = Counter({"(records' blobs and leftovers)": sum(store.place.size(key) for key in other)})
    weights.update({folder + "/": sum(map(_weight, _below(store, folder))) for folder in ("work", "logs", "tmp")})
    return rows + [Usage(what, 0, 0, weight) for what, weight in weights.items() if weight]
