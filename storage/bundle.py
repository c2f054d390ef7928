"""A version with all its ancestors as one file, and back: a plain tar of records and objects.

Nothing in it is trusted: every object is hashed again before it is published, and only the names that the bundle's
own records call for are read.
"""

import io
import re
import shutil
import tarfile
from contextlib import ExitStack
from pathlib import Path

from storage import folders, tables
from storage.artifact import Artifact, Json, check_kind, check_name, object_key, seal, unseal
from storage.catalog import save, text
from storage.digest import file_hash
from storage.errors import BadData, Damaged, writing
from storage.folders import read_manifest
from storage.lineage import lineage
from storage.place import temporary
from storage.store import AnyRef, Store, now

INDEX = "bundle.json"
DIGEST = re.compile(r"[0-9a-f]{64}")


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
            tar.add(store.place.local(key), key, recursive=False)


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
        with tarfile.open(source, "r:") as tar, ExitStack() as stack:
            index = _index(tar, source)
            objects = {m.name: m for m in tar if m.isreg() and m.name.startswith("objects/")}
            staged = {}
            for key, member in objects.items():
                path = stack.enter_context(temporary(store.place, ".parquet"))
                _unpack(tar, member, path)
                _check(path, key)
                staged[key] = path
            stack.enter_context(store.writing())
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
    digest = key.rpartition("/")[2].partition(".")[0]
    suffix = key.partition(digest)[2]
    found = tables.digest_file(path) if suffix == ".parquet" else file_hash(path)
    if found != digest or key != object_key(digest, suffix) or suffix not in {"", ".parquet", ".dir.json"}:
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
    here: dict[str, Artifact] = {}
    for item in index["versions"]:
        there = Artifact.from_record(_checked(item["record"], source), item["seq"])
        gone = there.version in index["expired"]
        lacking = [key for key in _keys(store, there, gone) if not store.place.exists(key)]
        if lacking:
            raise Damaged(f"{source} lacks {lacking[0]}, which {there.version} needs: export it again")
        parents = [{"version": here[parent.version].version, "digest": parent.digest} for parent in there.parents]
        record = there.record() | {"parents": parents} | facts.get(there.key, {})
        here[there.version] = store.versions.append(record, even_expired=gone)
        if gone and not store.place.exists(there.key):
            store.versions.expire([here[there.version].version], now())
    return here[there.version]


def _checked(record: Json, source: Path) -> Json:
    """The record, if nothing in it could lead a path out of the store."""
    check_kind(record["kind"]), check_name(record["name"])
    digests = [record["digest"], record["cause"], record.get("environment"), record["code"].get("digest")]
    digests += [parent["digest"] for parent in record["parents"]]
    if not all(DIGEST.fullmatch(digest) for digest in digests if digest):
        raise Damaged(f"{source} has a record of {record['kind']}/{record['name']} with a digest that is none")
    return record
