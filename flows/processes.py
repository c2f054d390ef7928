"""Processes that outlive the command that started them: started with a log, found again, and ended for certain.

A process is known by its number and by when it started: a number that another program has since been given is not it.
"""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG_END = 30  # lines
RUN = "PERCEPTION_R1_RUN"  # the process whose run a Prefect server was started for
SAME_START_S = 2.0  # the clock that a start is told by may be set; no number comes round again so soon


class ServicesError(Exception):
    """Something about our processes that a person has to know; its message is meant for him."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Service:
    """A process of ours: what it is for, its number, when it started (seconds since 1970), and where it writes."""

    name: str
    pid: int
    started: float
    log: str


def spawn(name: str, command: list[str], environment: Mapping[str, str], log: Path) -> Service:
    """The started process; it has a session of its own, and what it writes is added to `log`.

    It hears Ctrl-C even where a script started this process with that signal ignored (`… &`): a Prefect worker that
    inherits an ignored SIGINT does not end on SIGTERM either.
    """
    import psutil  # type: ignore[import-untyped, unused-ignore]

    log.parent.mkdir(parents=True, exist_ok=True)
    pid = os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM],
    )
    return Service(name, pid, psutil.Process(pid).create_time(), str(log))


def is_running(service: Service) -> bool:
    """Whether it is still that process, and no corpse."""
    return _found(service) is not None


def end(service: Service, grace_s: float = 10.0, *, children: bool = True) -> bool:
    """Ends the process, then everything it started, politely at first; whether there was anything to end."""
    import psutil

    process = _found(service)
    if process is None:
        return False
    family = [process]
    with suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True) if children else []
    _ask(process)
    psutil.wait_procs([process], timeout=grace_s)
    for other in family[1:]:
        _ask(other)
    _, left = psutil.wait_procs(family, timeout=grace_s)
    for other in left:
        with suppress(psutil.NoSuchProcess):
            other.kill()
    psutil.wait_procs(left, timeout=5)
    return True


def orphans(home: Path) -> tuple[Service, ...]:
    """The flow runs of our server whose worker died before them: their environment names the run and our home."""
    import psutil

    found = []
    for process in psutil.process_iter(["environ", "create_time"]):
        environment = process.info["environ"] or {}  # None: another user's, or gone by now
        if "PREFECT__FLOW_RUN_ID" in environment and environment.get("PREFECT_HOME") == str(home):
            found.append(Service("run", process.pid, process.info["create_time"], ""))
    return tuple(found)


def stray_servers(home: Path) -> tuple[Service, ...]:
    """Prefect's own servers of our home whose run was killed: nothing ends them with it."""
    import psutil

    found = []
    for process in psutil.process_iter(["environ", "create_time"]):
        run = (process.info["environ"] or {}).get(RUN, "")
        ours = run and "PREFECT__SERVER_EPHEMERAL" in process.info["environ"]
        if ours and process.info["environ"].get("PREFECT_HOME") == str(home) and not psutil.pid_exists(int(run)):
            found.append(Service("server", process.pid, process.info["create_time"], ""))
    return tuple(found)


def log_end(log: str | Path) -> str:
    """The last lines of a log."""
    try:
        lines = Path(log).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log was written)"
    return "\n".join(lines[-LOG_END:]) or "(the log is empty)"


def python(*words: str) -> list[str]:
    """A command line for this very Python; no folder of ours is put before the installed packages."""
    return [sys.executable, "-P", *words]


def inherited(without: tuple[str, ...] = ()) -> dict[str, str]:
    """This process's environment, but for the variables that begin with one of these."""
    return {name: value for name, value in os.environ.items() if not name.startswith(without)}


def _ask(process: Any) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        process.terminate()


def _found(service: Service) -> Any:
    """The process as psutil knows it, or None if it is gone."""
    import psutil

    try:
        process = psutil.Process(service.pid)
        same = abs(process.create_time() - service.started) < SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
