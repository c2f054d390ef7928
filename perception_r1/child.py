"""Work in a process of its own: started from one JSON file, watched, ended with its parent, its failure brought home.

Torch, CUDA and a distributed launch never share a process with the workflow, and a run can be replayed by hand:

    python -m perception_r1.train RUN.json

A child writes `progress.json` beside its RUN.json, and everything it prints goes to `log.txt` there.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from perception_r1.errors import ConfigError, PerceptionError, ProcessFailed
from perception_r1.gpus import ORDER, VISIBLE, gpus_here, leased
from perception_r1.nursery import Born, born

Child = subprocess.Popen[bytes] | Born
Watch = Callable[..., None]  # done, total, and what came of it where the child says so
PARENT = "PERCEPTION_R1_PARENT"
CAUSE = "error.txt"  # beside RUN.json, where a child knows why it fails
LOG_END = 30  # lines
NO_ROOM = 1 << 20  # bytes
WRONG = 2  # the exit code of a child that was asked for what cannot be
_ending = threading.Event()  # this process is being ended


def run_child(
    module: str,
    spec: Mapping[str, Any],
    folder: Path,
    processes: int = 1,
    *,
    gpus: int = 0,
    forked: bool = False,
    environment: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
    watch: Watch | None = None,
) -> None:
    """Returns when `python -m module folder/RUN.json` has ended well; raises ProcessFailed with the end of its log.

    The child sees the GPUs that are leased for it and no others: without a lease, none. One that needs none may be
    forked, which saves it the imports.
    """
    with leased(gpus, gpus_here() if gpus else {}, pause=_pause) as (names, leases):
        seen = ORDER | {VISIBLE: ",".join(names)} if names or not gpus else {}
        around = dict(environment or {}) | seen
        held = (*keep_open, *leases)
        start = partial(_started, processes=processes, forked=forked, environment=around, keep_open=held)
        _run(module, spec, folder, start, watch)


def end_children() -> None:
    """Ends every child of this process, which is ending itself; who waits for one gets ProcessFailed."""
    _ending.set()


def _pause(seconds: float) -> None:
    if _ending.wait(seconds):
        raise ProcessFailed("it was interrupted")


def _run(
    module: str,
    spec: Mapping[str, Any],
    folder: Path,
    start: Callable[[list[str], int], Child],
    watch: Watch | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / "RUN.json"
    run.write_text(json.dumps(spec, indent=2, ensure_ascii=False))
    for name in ("progress.json", CAUSE):
        (folder / name).unlink(missing_ok=True)
    log = folder / "log.txt"
    with log.open("ab") as said:
        started = said.tell()
        child = start([module, str(run)], said.fileno())
    try:
        while child.poll() is None:
            _show(folder, watch)
            _pause(0.2)
    finally:
        if child.poll() is None:  # this process is being ended
            child.terminate()
            child.wait()
    _show(folder, watch)
    if child.returncode == WRONG and (cause := read_cause(folder)):
        raise ConfigError(cause)
    if child.returncode:
        raise ProcessFailed(_told(module, child.returncode, log, started, read_cause(folder)))


def _started(
    words: list[str],
    said: int,
    *,
    processes: int,
    forked: bool,
    environment: Mapping[str, str],
    keep_open: Sequence[int],
) -> Child:
    """The child, which prints to the descriptor."""
    around = {**environment, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    if forked and sys.platform == "linux":
        return born(words, said, around, keep_open)
    return subprocess.Popen(
        [*_launcher(processes), "-m", *words],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=subprocess.STDOUT,
        env=os.environ | around,
        pass_fds=keep_open,
    )


def _launcher(processes: int) -> list[str]:
    """How Python is started: alone, or once for each GPU under accelerate."""
    if processes == 1:
        return [sys.executable]
    return [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(processes)]


def _show(folder: Path, watch: Watch | None) -> None:
    if watch and (state := read_progress(folder)):
        watch(int(state["done"]), int(state["total"]), *([state["said"]] if state.get("said") else []))


def read_progress(folder: Path) -> dict[str, Any]:
    """What the child last said about how far it is; empty if nothing yet."""
    try:
        state: dict[str, Any] = json.loads((folder / "progress.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return state


def write_progress(folder: Path, done: int, total: int, **more: Any) -> None:
    """Says how far the child is; readers never see half of it."""
    partial = folder / "progress.json.tmp"
    partial.write_text(json.dumps({"done": done, "total": total, **more}))
    partial.replace(folder / "progress.json")


def write_cause(folder: Path, cause: str) -> None:
    """Leaves the reason for a failure; the first process of a run that fails is the one that knows it."""
    try:
        with (folder / CAUSE).open("x") as file:
            file.write(cause)
    except FileExistsError:
        return


def give_up(folder: Path, error: PerceptionError) -> NoReturn:
    """Ends this child with the reason, where its parent finds it."""
    write_cause(folder, str(error))
    print(error, file=sys.stderr)
    sys.exit(WRONG if isinstance(error, ConfigError) else 1)


def read_cause(folder: Path) -> str:
    """The first line of the reason that a child left; empty if it left none."""
    path = folder / CAUSE
    return path.read_text().partition("\n")[0].strip() if path.exists() else ""


def _told(module: str, code: int, log: Path, started: int, cause: str) -> str:
    """Why a child ended, its own last error line first, and the end of its log."""
    lines = log.read_bytes()[started:].decode(errors="replace").splitlines()
    how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    if code == -9:
        how += " (SIGKILL: often the machine ran out of memory)"
    # a full disk may have kept the child from saying so; under a launcher the last line is the launcher's own
    cause = (
        _full(log.parent, "\n".join(lines))
        or cause
        or next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    )
    end = "\n".join(lines[-LOG_END:])
    return f"python -m {module} {how}: {cause}\nThe whole log is {log}; it ends:\n{end}"


def _full(folder: Path, said: str) -> str:
    """That the folder's disk is full and what to do, if it is; what fails there fails in a hundred ways."""
    disk = os.statvfs(folder)
    free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    if free >= NO_ROOM and not any(word in said for word in ("No space left on device", "Disk quota exceeded")):
        return ""
    return (
        f"the disk of {folder} is full ({free / 1e6:,.1f} of {whole / 1e6:,.1f} MB are free); free some space "
        "(`perception-r1 gc` lists what can go) and type the same again: what was finished is kept"
    )


def end_with_parent() -> None:
    """Ends this process soon after the one that started it is gone, however that went; called first in a child."""
    parent = os.environ.get(PARENT)
    if not parent:
        return  # replayed by hand

    first = os.getppid()

    def look() -> None:
        while os.getppid() == first and _alive(int(parent)):
            time.sleep(0.5)
        os._exit(113)

    threading.Thread(target=look, daemon=True).start()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
