"""Children of the tiny model, forked from a process that has imported torch, transformers and TRL already: the nursery.

A fresh Python takes 6 to 9 CPU seconds for these imports, and a default run has 18 children. `born` starts the nursery
with the first child; it ends with the process that started it. A child that may use a GPU is never born here: CUDA
does not survive a fork.

    parent ── request and descriptors ──> nursery ── fork ──> child      a request has a status socket of its own
    parent <── number of the child, then its exit code ── nursery
"""

import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from perception_r1.errors import ProcessFailed

PRELOADED = (
    "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl",
    "perception_r1.train.trainer",
    "perception_r1.evaluate.generate",
    "perception_r1.world.warm_start",
)
LONGEST = 100_000  # bytes of a request
MOST = 64  # descriptors of a request


@dataclass(slots=True)
class Born:
    """A child of the nursery, as subprocess.Popen would show it."""

    pid: int
    _status: socket.socket
    returncode: int | None = field(default=None, init=False)

    def poll(self) -> int | None:
        """The exit code, or None while it lives."""
        return self._heard(wait=False)

    def wait(self) -> int | None:
        """The exit code, when it has ended."""
        return self._heard(wait=True)

    def terminate(self) -> None:
        """Asks it to end."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def _heard(self, wait: bool) -> int | None:
        if self.returncode is None:
            self._status.setblocking(wait)
            with suppress(BlockingIOError):
                said = self._status.recv(32)
                self.returncode = (
                    int(said) if said else -signal.SIGKILL
                )  # the nursery is gone, and its children with it
                self._status.close()
        return self.returncode


def born(words: Sequence[str], said: int, environment: Mapping[str, str], keep_open: Sequence[int]) -> Born:
    """The child that runs `python -m` with these words and prints to the descriptor; raises ProcessFailed."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = json.dumps({"words": list(words), "environment": os.environ | environment}).encode()
    with its, suppress(OSError):  # what goes wrong is heard below
        socket.send_fds(_nursery(environment), [request], [said, its.fileno(), *keep_open])
    number = ours.recv(32)
    if not number:
        ours.close()
        raise ProcessFailed(
            f"no child could be forked; to see why: {sys.executable} -m {__name__} 0 {' '.join(PRELOADED)}"
        )
    return Born(int(number), ours)


_open: dict[tuple[tuple[str, str], ...], tuple[subprocess.Popen[bytes], socket.socket]] = {}
_opening = threading.Lock()  # two children may be the first


def _nursery(environment: Mapping[str, str]) -> socket.socket:
    """The way to the nursery that was started in this environment, which libraries read when they are imported."""
    key = tuple(sorted(environment.items()))
    with _opening:
        if key in _open and _open[key][0].poll() is not None:
            _open.pop(key)[1].close()
        if key not in _open:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with its:
                process = subprocess.Popen(
                    [sys.executable, "-m", __name__, str(its.fileno()), *PRELOADED],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | environment | {"PYTHONUNBUFFERED": "1"},
                    pass_fds=[its.fileno()],
                )
            _open[key] = (process, ours)
        return _open[key][1]


def main() -> None:
    """Forks a child for each request, until nobody is left who could make one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: who started us ends us
    control, *modules = sys.argv[1:]
    for name in modules:
        importlib.import_module(name)
    if job := _forked(socket.socket(fileno=int(control))):
        sys.argv = job
        runpy.run_module(job[0], run_name="__main__", alter_sys=True)


def _forked(control: socket.socket) -> list[str]:
    """In a child, the words of its command; none in the nursery itself, when it is no longer needed."""
    with control, selectors.DefaultSelector() as watched:
        watched.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in watched.select():
                if key.fileobj is not control:
                    _tell(watched, key)
                    continue
                request, descriptors, _, _ = socket.recv_fds(control, LONGEST, MOST)
                if not request:
                    return []
                said, status, *_ = descriptors
                child = os.fork()
                if not child:
                    for other in _children(watched):
                        os.close(other.fd)
                        other.data.close()
                    os.close(status)
                    return _begun(json.loads(request), said)
                for each in {*descriptors} - {status}:
                    os.close(each)  # a lock is free when its last holder is gone, and that is the child
                told = socket.socket(fileno=status)
                told.send(str(child).encode())
                watched.register(os.pidfd_open(child), selectors.EVENT_READ, told)


def _children(watched: selectors.BaseSelector) -> list[selectors.SelectorKey]:
    return [key for key in watched.get_map().values() if key.data]


def _tell(watched: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Tells who asked for a child how it ended."""
    watched.unregister(key.fd)
    found = os.waitid(os.P_PIDFD, key.fd, os.WEXITED)
    os.close(key.fd)
    code = found.si_status if found and found.si_code == os.CLD_EXITED else -found.si_status if found else 1
    with key.data, suppress(OSError):  # who asked may be gone
        key.data.send(str(code).encode())


def _begun(request: dict[str, Any], said: int) -> list[str]:
    """Makes this process the child that was asked for; returns the words of its command."""
    for standard in (1, 2):
        os.dup2(said, standard)
    os.close(said)
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    words: list[str] = request["words"]
    return words


if __name__ == "__main__":
    main()
