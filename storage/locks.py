"""Advisory locks that the kernel frees when their holder dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.errors import Busy, writing


@contextmanager
def flock(path: Path, *, shared: bool = False, wait: bool = True, busy: str = "") -> Iterator[int]:
    """Holds the lock on `path` and yields its descriptor; without `wait` raises Busy(`busy`) soon if it is taken.

    A child process that inherits the descriptor keeps the lock until it ends too. The file is never removed:
    a waiter could otherwise hold a lock on a name that is gone.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(path)
    try:
        for patience in (0.05, 0.1, 0.2, 0.4, None):  # somebody may only be asking whether it is held
            try:
                fcntl.flock(descriptor, how)
                break
            except BlockingIOError as error:
                if patience is None:
                    raise Busy(busy or f"{path} is locked by another process") from error
                time.sleep(patience)
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:  # another user's lock, or a read-only store: to read it is enough to lock it
        with suppress(OSError):
            return os.open(path, os.O_RDONLY)
        raise error from None


def is_held(path: Path) -> bool:
    """Whether some process holds the lock; a file that does not exist is not held."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
