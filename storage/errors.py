"""Everything the store can refuse, as one tree. A message names the thing, what was expected and the remedy.

StoreError
├── BadName         a kind, name, tag or reference that cannot be one
├── BadData         rows or a folder that cannot be stored as they are
│   └── SchemaMismatch   columns that earlier versions of the same artifact cannot be read with
├── NotFound        no such version, tag or store
├── Expired         the version's record is here, its data was collected
├── Damaged         a file is not what its digest or its record says
├── Busy            somebody else holds the lock
├── Refused         SQL that is not a single SELECT, or that cannot be asked
└── Unwritable      the file system said no
    ├── DiskFull
    ├── ReadOnly
    └── Forbidden
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(Exception):
    """Base of all errors of the store."""


class BadName(StoreError):
    """A kind, name, tag or reference that cannot be one."""


class BadData(StoreError):
    """Rows or a folder that cannot be stored as they are."""


class SchemaMismatch(BadData):
    """Columns that earlier versions of the same artifact cannot be read with."""


class NotFound(StoreError):
    """No such version, tag or store."""


class Expired(StoreError):
    """The version's record is here, its data was collected."""


class Damaged(StoreError):
    """A file is not what its digest or its record says."""


class Busy(StoreError):
    """Somebody else holds the lock."""


class Refused(StoreError):
    """SQL that is not a single SELECT."""


class Unwritable(StoreError):
    """The file system said no."""


class DiskFull(Unwritable):
    """No space, quota or file size left."""


class ReadOnly(Unwritable):
    """The file system is mounted read-only."""


class Forbidden(Unwritable):
    """This user may not write there."""


_BY_ERRNO: dict[int, tuple[type[Unwritable], str]] = {
    errno.ENOSPC: (DiskFull, "the disk is full; free some space (`perception-r1 gc` lists what can go) and run again"),
    errno.EDQUOT: (DiskFull, "the disk quota is used up; free some space and run again"),
    errno.EFBIG: (DiskFull, "the file is larger than this process may write (see `ulimit -f`)"),
    errno.EROFS: (ReadOnly, "the file system is read-only; use --store with a place that can be written"),
    errno.EACCES: (Forbidden, "permission denied; use --store with a place that you own"),
    errno.ENOTDIR: (Unwritable, "a file is where a folder should be; use --store with another place"),
    errno.EEXIST: (Unwritable, "a file is where a folder should be; use --store with another place"),
    errno.EPERM: (Forbidden, "not permitted here (a file system without hard links?); use --store with another place"),
}


@contextmanager
def writing(place: Path | str) -> Iterator[None]:
    """Turns an OSError met while writing below `place` into the Unwritable that names it and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _BY_ERRNO:
            raise
        kind, remedy = _BY_ERRNO[error.errno]
        raise kind(f"cannot write to the store at {place}: {remedy}") from error
