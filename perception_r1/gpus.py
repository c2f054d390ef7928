"""The GPUs of this machine, leased: one child at a time has one, and the kernel frees it when its holder dies.

A lease is a lock on a file of the machine, not of the store: two stores share the same GPUs.
"""

import fcntl
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from perception_r1.errors import ConfigError

LOCKS = Path(tempfile.gettempdir()) / "perception-r1-gpus"
VISIBLE = "CUDA_VISIBLE_DEVICES"
AGAIN_S = 1.0  # between two looks at GPUs that others hold


def gpus_here() -> tuple[str, ...]:
    """The GPUs that this process may use, as the driver names them; none without a driver."""
    if VISIBLE in os.environ:
        names = (name.strip() for name in os.environ[VISIBLE].split(","))
        return tuple(itertools.takewhile(lambda name: name and not name.startswith("-"), names))  # as CUDA reads it
    program = shutil.which("nvidia-smi")
    if not program:
        return ()
    shown = subprocess.run([program, "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True)
    return tuple(shown.stdout.split()) if shown.returncode == 0 else ()


@contextmanager
def leased(
    count: int, here: Sequence[str], locks: Path = LOCKS, pause: Callable[[float], None] = time.sleep
) -> Iterator[tuple[list[str], list[int]]]:
    """Gives that many GPUs and the descriptors of their locks, which a child inherits; waits until they are free.

    A machine without a GPU gives none: a real model can be tried on the CPU. All or none are held, so that two who
    want two each never wait for each other.
    """
    if here and len(here) < count:
        found = f"{count} GPUs are asked for, and {len(here)} can be used here"
        raise ConfigError(f"{found}: lower train.processes, or look at ${VISIBLE}")
    if not here or not count:
        yield [], []
        return
    locks.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # another user has made it, and opened it to all
        locks.chmod(0o1777)
    while True:
        with ExitStack() as held:
            taken = dict(_free(here, count, locks, held))
            if len(taken) == count:
                yield list(taken), list(taken.values())
                return
        pause(AGAIN_S)


def _free(here: Sequence[str], count: int, locks: Path, held: ExitStack) -> Iterator[tuple[str, int]]:
    """Locks free GPUs until there are enough."""
    for name in here:
        descriptor = _opened(locks / name.replace("/", "-"))
        held.callback(os.close, descriptor)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield name, descriptor
            count -= 1
        if not count:
            return


def _opened(path: Path) -> int:
    """The lock's file; to read it is enough to lock it, and another user may have made it."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
