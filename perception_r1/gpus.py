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
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from perception_r1.errors import ConfigError

LOCKS = Path(tempfile.gettempdir()) / "perception-r1-gpus"
VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # what makes CUDA's numbers those of nvidia-smi
AGAIN_S = 1.0  # between two looks at GPUs that others hold


def gpus_here() -> dict[str, str]:
    """The GPUs that this process may use: the number of each, which is all that vLLM takes, and the driver's name.

    None without a driver. What the driver does not list, as a part of a card, keeps the name that it was given.
    """
    cards = _cards()
    if VISIBLE not in os.environ:
        return cards
    said = (name.strip() for name in os.environ[VISIBLE].split(","))
    given = itertools.takewhile(lambda name: name and not name.startswith("-"), said)  # as CUDA reads it
    return dict(_found(name, cards) for name in given)


def _found(name: str, cards: Mapping[str, str]) -> tuple[str, str]:
    """Number and name of the card that is meant by either, or by the beginning of the name."""
    return next((each for each in cards.items() if name == each[0] or each[1].startswith(name)), (name, name))


def _cards() -> dict[str, str]:
    """The driver's GPUs by number."""
    program = shutil.which("nvidia-smi")
    if not program:
        return {}
    shown = subprocess.run([program, "--query-gpu=index,uuid", "--format=csv,noheader"], capture_output=True, text=True)
    rows = (line.partition(", ") for line in shown.stdout.splitlines())
    return {number: name for number, _, name in rows} if shown.returncode == 0 else {}


@contextmanager
def leased(
    count: int, here: Mapping[str, str], locks: Path = LOCKS, pause: Callable[[float], None] = time.sleep
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


def _free(here: Mapping[str, str], count: int, locks: Path, held: ExitStack) -> Iterator[tuple[str, int]]:
    """Locks free GPUs until there are enough. The lock has the driver's name, however a process is told of the card."""
    for number, name in here.items():
        descriptor = _opened(locks / name.replace("/", "-"))
        held.callback(os.close, descriptor)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield number, descriptor
            count -= 1
        if not count:
            return


def _opened(path: Path) -> int:
    """The lock's file; to read it is enough to lock it, and another user may have made it."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
