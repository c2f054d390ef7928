"""Folders (checkpoints, reports) as manifests of file digests: each file stored once, read-only, by its sha256."""

import atexit
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from storage.artifact import DIGEST, Json, canonical, object_key
from storage.digest import file_hash
from storage.errors import BadData, Damaged, Unwritable, writing
from storage.place import Place, temporary, temporary_folder

Checkout = Literal["auto", "reflink", "link", "copy"]

CHUNK = 8 << 20
SYNC_EVERY = 256 << 20  # a disk that starts writing early ends early
FICLONE = 0x40049409  # ioctl: share the blocks of another file, copy on write (btrfs, xfs)


@dataclass(slots=True)
class StagedFolder:
    """A folder's files, hashed and waiting to be published: by link where the store may keep the very file."""

    facts: Json
    manifest: bytes
    sources: dict[str, Path]

    def publish(self, place: Place) -> Json:
        """Publishes the files, then the manifest that names them; returns the facts."""
        for sha, path in self.sources.items():
            publish_once(place, object_key(sha), path)
        with temporary(place) as path, writing(place.scratch):
            path.write_bytes(self.manifest)
            publish_once(place, object_key(self.facts["digest"], ".dir.json"), path)
        return self.facts


def publish_once(place: Place, key: str, source: Path) -> None:
    """Publishes the file, or touches the one that is there; one of another size is damaged and gives way."""
    size = source.stat().st_size
    if place.publish(key, source, keep_source=True):
        return
    if place.size(key) == size:
        place.touch(key)
    else:
        place.remove(key)
        place.publish(key, source, keep_source=True)


def stage_folder(place: Place, folder: Path, stack: ExitStack, *, adopt: bool = False) -> StagedFolder:
    """Hashes a folder; its files are copied to scratch, or, to `adopt`, taken as they are.

    An adopted file becomes the object itself, so nobody may write to it afterwards: only for folders that we own.
    """
    if not folder.is_dir():
        raise BadData(f"{folder} is not a folder; to store rows pass a table or an iterable of records")
    copies = stack.enter_context(temporary_folder(place))
    entries: list[Json] = []
    sources: dict[str, Path] = {}
    for path in sorted(_walk(folder), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            entries.append({"path": name + "/"})
            continue
        # a file with another name somewhere is not ours alone: its owner could write to it
        mine = adopt and not path.is_symlink() and path.stat().st_nlink == 1
        source = path if mine else copies / str(len(entries))
        sha = file_hash(path) if mine else _copy_hashed(place, path, source)
        entries.append({"path": name, "sha256": sha, "bytes": source.stat().st_size})
        sources.setdefault(sha, source)
    manifest = canonical({"files": entries}) + b"\n"
    facts = {
        "format": "folder",
        "digest": hashlib.sha256(manifest).hexdigest(),
        "bytes": sum(entry.get("bytes", 0) for entry in entries),
        "files": sum("sha256" in entry for entry in entries),
    }
    return StagedFolder(facts, manifest, sources)


def _walk(folder: Path) -> Iterator[Path]:
    """Regular files, links to files, and folders that are empty; anything else is refused."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            inside = list(_walk(path))
            yield from inside or [path]
        elif path.is_file():
            yield path
        else:
            what = "a link to a folder" if path.is_dir() else "a dangling link, socket or device"
            raise BadData(f"{path} is {what}: a stored folder holds files and folders only")


def _copy_hashed(place: Place, source: Path, target: Path) -> str:
    """Copies the file and returns the sha256 of the bytes that were copied, reading it once."""
    if _reflink(source, target):
        return file_hash(target)
    sha, pending = hashlib.sha256(), 0
    with (
        source.open("rb") as reader,
        writing(place.scratch),
        target.open("wb") as writer,
        ThreadPoolExecutor(2) as pool,
    ):
        hashed = synced = None
        while chunk := reader.read(CHUNK):
            if hashed:
                hashed.result()
            hashed = pool.submit(sha.update, chunk)
            writer.write(chunk)
            pending += len(chunk)
            if pending >= SYNC_EVERY and (synced is None or synced.done()):
                writer.flush()
                synced, pending = pool.submit(os.fdatasync, writer.fileno()), 0
        for future in filter(None, (hashed, synced)):
            future.result()
    return sha.hexdigest()


def _reflink(source: Path, target: Path) -> bool:
    """Whether the target now shares the source's blocks, which not every file system can do."""
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
        except OSError:
            return False
    return True


def read_manifest(place: Place, digest: str) -> list[dict[str, Any]]:
    """The entries of a stored folder: path, sha256 and bytes; a path with a slash at the end is an empty folder."""
    key = object_key(digest, ".dir.json")
    data = _bytes(place, key)
    if hashlib.sha256(data).hexdigest() != digest:
        raise Damaged(f"object {key} is damaged: run `perception-r1 verify`, then restore it from a copy")
    try:
        entries: list[dict[str, Any]] = json.loads(data)["files"]
        for entry in entries:
            _inside(entry["path"])
            if not entry["path"].endswith("/") and not DIGEST.fullmatch(entry["sha256"]):
                raise ValueError(f"digest {entry['sha256']!r}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"object {key} is no manifest ({error}): it was made by something else") from error
    return entries


def _bytes(place: Place, key: str) -> bytes:
    try:
        return place.local(key).read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"object {key} is missing: run `perception-r1 verify`, then restore it from a copy") from error


def view(place: Place, digest: str) -> Path:
    """A folder of symbolic links to the stored files, to read from; made once, whole, under views/."""
    target = place.scratch / "views" / digest
    if target.exists():
        return target
    try:
        with (
            temporary_folder(place) as partial,
            writing(place.scratch),
        ):  # as deep as views/<digest>: relative links stay right
            _lay_out(place, digest, partial, _symlink)
            target.parent.mkdir(exist_ok=True)
            with suppress(OSError):  # another process laid the same view at the same moment
                partial.rename(target)
        return target
    except Unwritable:  # a read-only store: the view is this process's own, and goes with it
        own = Path(tempfile.mkdtemp(prefix="perception-r1-view-"))
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        return _lay_out(place, digest, own, _symlink)


def checkout(place: Place, digest: str, target: Path, how: Checkout = "auto") -> Path:
    """The stored folder as files of the caller's own at `target`, which must not exist yet or be empty.

    auto: shared blocks where the file system can (reflink), else a hard link to the read-only object, else a copy.
    For root a read-only file is no obstacle and a link could rewrite the object, so root gets a copy instead.
    """
    ways = {"reflink": [_clone], "link": [_link], "copy": [_copy]}
    ways["auto"] = [_clone, _copy] if os.geteuid() == 0 else [_clone, _link, _copy]
    if how not in ways:
        raise BadData(f"{how!r} is no way to check out; known: {', '.join(ways)}")
    if target.exists() and any(target.iterdir()):
        raise BadData(f"{target} is not empty; choose a new folder")
    with writing(target):
        return _lay_out(place, digest, target, lambda source, path: _first(ways[how], source, path, how))


def _lay_out(place: Place, digest: str, target: Path, lay: Any) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for entry in read_manifest(place, digest):
        path = target / _inside(entry["path"])
        if entry["path"].endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            source = place.local(object_key(entry["sha256"]))
        except FileNotFoundError as error:
            raise Damaged(
                f"{entry['path']} is missing: its object {error} is gone; run `perception-r1 verify`"
            ) from error
        lay(source, path)
    return target


def _inside(name: str) -> PurePosixPath:
    """The path, if it stays below where it is laid."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise Damaged(f"a manifest names {name!r}, which leaves its folder")
    return path


def _symlink(source: Path, path: Path) -> None:
    path.symlink_to(os.path.relpath(source, path.parent))  # relative: a store may be moved


def _clone(source: Path, path: Path) -> bool:
    done = _reflink(source, path)
    if not done:
        path.unlink()
    return done


def _link(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:
        return False
    return True


def _copy(source: Path, path: Path) -> bool:
    shutil.copyfile(source, path)
    return True


def _first(ways: list[Any], source: Path, path: Path, how: str) -> None:
    if not any(way(source, path) for way in ways):
        raise BadData(f"{path.parent} cannot hold a {how} of the store's files (another file system?); use another way")


def own_files(place: Place, folder: Path) -> None:
    """Gives every file below that the store took over (by link, and read-only) back to the run, to write to."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        if path.stat().st_nlink > 1:
            with temporary(place) as copy:
                shutil.copyfile(path, copy)
                copy.replace(path)
        elif not path.stat().st_mode & 0o200:
            path.chmod(path.stat().st_mode | 0o200)
