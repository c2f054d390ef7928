"""Where the truth lies: a Place publishes whole files under keys, and never half of one.

`Disk` is a folder on a local or shared POSIX file system; `storage.bucket.Bucket` is the same keys in an object store.
Scratch (temporary files, work folders, locks) is always a local folder.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from storage.errors import writing


class Place(Protocol):
    """The operations that everything else is made of; each is atomic, each is durable when it returns."""

    @property
    def scratch(self) -> Path:
        """The local folder for temporary files, work folders and locks."""

    def publish(self, key: str, source: Path, *, keep_source: bool = False) -> bool:
        """Makes the file visible under the key, whole, unless the key is taken: then False. Consumes the source."""

    def replace(self, key: str, source: Path) -> None:
        """Makes the file visible under the key, whole, in place of what was there. Consumes the source."""

    def local(self, key: str, *, fresh: bool = False) -> Path:
        """A path on this machine that holds the key's bytes; `fresh` trusts no copy. Raises FileNotFoundError."""

    def exists(self, key: str) -> bool:
        """Whether the key is there."""

    def names(self, prefix: str) -> list[str]:
        """The names directly below the prefix, sorted; none if there is no such prefix."""

    def size(self, key: str) -> int:
        """The bytes under the key. Raises FileNotFoundError."""

    def age_s(self, key: str, now: float) -> float:
        """Seconds since the key was written or touched. Raises FileNotFoundError."""

    def touch(self, key: str) -> None:
        """Makes the key young again, so that a collector with a grace period leaves it."""

    def remove(self, key: str) -> None:
        """Takes the key away, if it is there."""


class Disk:
    """A folder: write to temporary, fsync, link (exclusive) or rename, fsync of the directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root
        self._folders: set[Path] = set()

    def __repr__(self) -> str:
        return str(self.root)

    def publish(self, key: str, source: Path, *, keep_source: bool = False) -> bool:
        target = self.root / key
        with writing(self.root):
            self._folder(target.parent)
            sync_file(source)
            source.chmod(0o444)
            try:
                os.link(source, target)
                fresh = True
            except FileExistsError:
                # over NFS a link whose answer was lost is retried and finds itself
                fresh = os.path.samestat(source.stat(), target.stat())
            if fresh:
                sync_folder(target.parent)
            if not keep_source:
                source.unlink()
        return fresh

    def replace(self, key: str, source: Path) -> None:
        target = self.root / key
        with writing(self.root):
            self._folder(target.parent)
            sync_file(source)
            source.replace(target)
            sync_folder(target.parent)

    def local(self, key: str, *, fresh: bool = False) -> Path:
        path = self.root / key
        if not path.exists():
            raise FileNotFoundError(path)
        return path

    def exists(self, key: str) -> bool:
        return (self.root / key).exists()

    def names(self, prefix: str) -> list[str]:
        try:
            return sorted(os.listdir(self.root / prefix))  # noqa: PTH208  (names only: a Path of each would be thrown away)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def size(self, key: str) -> int:
        return (self.root / key).stat().st_size

    def age_s(self, key: str, now: float) -> float:
        return now - (self.root / key).stat().st_mtime

    def touch(self, key: str) -> None:
        with writing(self.root):
            try:
                os.utime(self.root / key)
            except PermissionError:  # another user's file in a shared store: only its owner may, so it becomes ours
                with temporary(self) as copy:
                    shutil.copyfile(self.root / key, copy)
                    copy.chmod(0o444)
                    self.replace(key, copy)

    def remove(self, key: str) -> None:
        with writing(self.root):
            (self.root / key).unlink(missing_ok=True)

    def _folder(self, folder: Path) -> None:
        """Creates the folder durably: each new directory entry is synced in its parent."""
        if folder in self._folders:
            return
        missing = [folder]
        while not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            sync_folder(path.parent)
        self._folders.add(folder)


@contextmanager
def temporary(place: Place, suffix: str = "") -> Iterator[Path]:
    """An empty file in scratch/tmp, to be written over; what is still there at the end is removed.

    It is locked as long as its writer lives, which tells gc that it is no leftover.
    """
    folder = place.scratch / "tmp"
    with writing(place.scratch):
        folder.mkdir(parents=True, exist_ok=True)
        path, lock = _locked_file(folder, suffix)
    try:
        yield path  # what is written here names its own errors: rows come from generators that have theirs
    finally:
        with suppress(OSError):  # the disk that refused the write may refuse this too; gc sweeps what stays
            path.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def temporary_folder(place: Place) -> Iterator[Path]:
    """An empty folder in scratch/tmp, locked like a temporary file; removed at the end with what is still in it."""
    with writing(place.scratch):
        folder, lock = _locked_folder(place.scratch / "tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    while True:
        folder = parent / uuid.uuid4().hex
        folder.mkdir(parents=True)
        with suppress(FileNotFoundError):  # gc may come between any two of these lines
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _locked_file(folder: Path, suffix: str) -> tuple[Path, int]:
    while True:
        path = folder / f"{uuid.uuid4().hex}{suffix}"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():  # gc may have come between the two lines above
            return path, lock
        os.close(lock)


def publish_bytes(place: Place, key: str, data: bytes) -> bool:
    """Publishes the bytes under the key unless it is taken; tells whether they were."""
    with temporary(place) as path, writing(place.scratch):
        path.write_bytes(data)
        return place.publish(key, path)


def sync_file(path: Path) -> None:
    """Waits until the file's bytes are on the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Waits until the folder's entries are on the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
