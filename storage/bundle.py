"""A version with all its ancestors as one file, and back: a plain tar of records and objects.

Nothing in it is trusted: every object is hashed again before it is published, and only the names that the bundle's
own records call for are read.
"""

import io
import re
import shutil
import tarfile
from pathlib import Path

from storage import folders, tables
from storage.artifact import DIGEST, Artifact, Json, check_kind, check_name, object_key, seal, unseal
from storage.catalog import save, text
from storage.digest import file_hash
from storage.errors import BadData, Damaged, writing
from storage.folders import read_manifest
from storage.lineage import lineage
from storage.place import temporary_folder
from storage.store import AnyRef, Store, cause_of, now

INDEX = "bundle.json"


def export(store: Store, ref: AnyRef, target: Path) -> Path:
    """Writes a version to a file: with its ancestry as .tar, or only its rows as .parquet, .csv or .jsonl."""
    if target.suffix != ".tar":
        source = store.path(store.whole(ref, "table"))
        return save(f"FROM read_parquet({text(str(source))})", target, store)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with writing(target.parent):
            _write_tar(store, store.whole(ref), partial)
            partial.replace(target)
    except FileNotFoundError as error:
        raise BadData(f"cannot write {target}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _write_tar(store: Store, version: Artifact, target: Path) -> None:
    ancestry = [store.at(name) for name in reversed(list(_oldest_last(store, version)))]
    expired = store.versions.expired()
    index = {
        "format": 1,
        "versions": [{"seq": v.seq, "record": v.record()} for v in ancestry],
        "expired": sorted(v.version for v in ancestry if v.version in expired),
    }
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        data = seal(index)
        info = tarfile.TarInfo(INDEX)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        for key in dict.fromkeys(key for v in ancestry for key in _keys(store, v, v.version in expired)):
            tar.add(_local(store, key), key, recursive=False)


def _local(store: Store, key: str) -> Path:
    try:
        return store.place.local(key)
    except FileNotFoundError as error:
        raise Damaged(f"object {key} is missing: run `perception-r1 verify`, then restore it from a copy") from error


def _oldest_last(store: Store, version: Artifact) -> list[str]:
    """The version and its ancestors, every one before its parents."""
    graph = lineage(store, version).arrows
    order: list[str] = []
    done: set[str] = set()
    waiting = [(version.version, False)]
    while waiting:
        name, parents_done = waiting.pop()
        if parents_done:
            order.append(name)
        elif name not in done:
            done.add(name)
            waiting.append((name, True))
            waiting += [(parent, False) for parent in graph[name]]
    return order[::-1]


def _keys(store: Store, version: Artifact, expired: bool) -> list[str]:
    """The objects that the version needs."""
    blobs = [object_key(digest) for digest in (version.environment, version.code.get("digest")) if digest]
    if expired:
        return blobs
    if version.format == "table":
        return [*blobs, version.key]
    entries = read_manifest(store.place, version.digest)
    return [*blobs, version.key, *(object_key(entry["sha256"]) for entry in entries if "sha256" in entry)]


def import_bundle(store: Store, source: Path) -> Artifact:
    """Takes in a bundle and returns its version; what is here already (same cause, same content) is found.

    Versions get the next free numbers here, so a reference may change; digests and causes do not.
    """
    try:
        with tarfile.open(source, "r:") as tar, temporary_folder(store.place) as folder:
            index = _index(tar, source)
            staged: dict[str, Path] = {}
            for member in (m for m in tar if m.isreg() and m.name.startswith("objects/")):
                path = folder / f"{len(staged)}.parquet"
                _unpack(tar, member, path)
                _check(path, member.name)
                staged[member.name] = path
            with store.writing():
                facts = {key: _publish(store, key, path) for key, path in staged.items()}
                return _append_all(store, index, facts, source)
    except tarfile.TarError as error:
        raise Damaged(f"{source} is no bundle, or a damaged one ({error}): export it again") from error


def _index(tar: tarfile.TarFile, source: Path) -> Json:
    member = tar.next()
    file = tar.extractfile(member) if member and member.name == INDEX and member.isreg() else None
    if file is None:
        raise Damaged(f"{source} is no bundle: it does not begin with {INDEX}; make one with `perception-r1 export`")
    return unseal(file.read(), f"{INDEX} of {source}")


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    file = tar.extractfile(member)
    assert file is not None  # isreg() was asked before
    with path.open("wb") as target:
        shutil.copyfileobj(file, target, 8 << 20)


def _check(path: Path, key: str) -> None:
    """Raises Damaged unless the file is what the key says."""
    match = re.fullmatch(r"objects/[0-9a-f]{2}/([0-9a-f]{64})(\.parquet|\.dir\.json)?", key)
    if not match:
        raise Damaged(f"the bundle's {key!r} is no object: export it again")
    digest, suffix = match[1], match[2] or ""
    found = tables.digest_file(path) if suffix == ".parquet" else file_hash(path)
    if found != digest or key != object_key(digest, suffix):
        raise Damaged(f"the bundle's {key} is not what its name says: export it again")


def _publish(store: Store, key: str, path: Path) -> Json:
    """Publishes an object; returns what a record says of a Parquet file, which may differ from another writer's."""
    if not key.endswith(".parquet"):
        folders.publish_once(store.place, key, path)
        return {}
    digest = key.rpartition("/")[2].removesuffix(".parquet")
    facts = {"digest": digest, "file_sha256": file_hash(path), "bytes": path.stat().st_size}
    return tables.StagedTable(facts, path).publish(store.place)


def _append_all(store: Store, index: Json, facts: dict[str, Json], source: Path) -> Artifact:
    """Appends the records, ancestors first, after every one of them was looked at."""
    try:
        expired = set(index["expired"])
        ancestry = [Artifact.from_record(_checked(item["record"]), int(item["seq"])) for item in index["versions"]]
        root = ancestry[-1]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{source} has a record that is none ({error!r}): export it again") from error
    known: dict[str, str] = {}
    for there in ancestry:
        gone = there.version in expired
        if [known.get(parent.version) for parent in there.parents] != [parent.digest for parent in there.parents]:
            raise Damaged(f"{source} has {there.version} before, or other than, what it was made from: export it again")
        known[there.version] = there.digest
        if lacking := [key for key in _keys(store, there, gone) if not store.place.exists(key)]:
            raise Damaged(f"{source} lacks {lacking[0]}, which {there.version} needs: export it again")
        if there.format == "table" and not gone and tables.columns_of(store.path(there)) != there.schema:
            raise Damaged(f"{source} says of {there.version} that it has other columns than it has: export it again")
        store.check_fits(there.kind, there.name, there.record())
    here: dict[str, Artifact] = {}
    for there in ancestry:
        parents = [{"version": here[parent.version].version, "digest": parent.digest} for parent in there.parents]
        record = there.record() | {"parents": parents} | facts.get(there.key, {})
        here[there.version] = store.versions.append(record, even_expired=there.version in expired)
        gone = there.version in expired and not store.place.exists(there.key)
        if gone and here[there.version].version not in store.versions.expired():
            store.versions.expire([here[there.version].version], now())
    return here[root.version]


TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("kind", "name", "digest", "cause", "created", "format"), (str,)),
    **dict.fromkeys(("config", "code", "producer"), (dict,)),
    "bytes": (int,),
    "parents": (list,),
}
MAY_BE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("environment", "run", "file_sha256"), (str,)),
    **dict.fromkeys(("rows", "files"), (int,)),
    **dict.fromkeys(("duration_s", "cost"), (int, float)),
    "schema": (list,),
}


def _checked(record: Json) -> Json:
    """The record, if every field is of its type and nothing in it could lead a path out of the store."""
    check_kind(record["kind"]), check_name(record["name"])
    wrong = [name for name, kinds in TYPES.items() if type(record[name]) not in kinds]
    wrong += [name for name, kinds in MAY_BE.items() if name in record and type(record[name]) not in kinds]
    parents = [parent["digest"] for parent in record["parents"]]
    digests = [record["digest"], *parents, *filter(None, (record.get("environment"), record["code"].get("digest")))]
    wrong += [f"digest {digest!r}" for digest in digests if not DIGEST.fullmatch(digest)]
    wrong += [f"column {column!r}" for column in record.get("schema", ()) if [*map(type, column)] != [str, str]]
    wrong += ["created"] * (not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record["created"]))
    code = record["code"].get("digest", "")
    wrong += ["cause"] * (cause_of(record["kind"], record["name"], parents, record["config"], code) != record["cause"])
    if wrong or record["format"] not in ("table", "folder"):
        raise ValueError(f"{record['kind']}/{record['name']}: {', '.join(wrong) or record['format']}")
    return record
