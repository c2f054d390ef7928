"""The process that watches over what `up` started: a server or a worker that died is started anew.

    python -m flows.keeper HOME

It writes what it does to `keeper.log`. A process that dies soon after each of several starts is left alone: its own
log says why, and `perception-r1 status` shows it as gone. The keeper ends when `services.json` names it no longer.
"""

import os
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from flows.processes import Service, ServicesError, is_running, spawn
from flows.services import Services, alone, command_of, read_services, write

LOOK_S = 5.0
SOON_S = 60.0  # of a start: a death within that is no accident
STARTS = 3  # in a row that end soon


def keep(home: Path) -> None:
    """Looks again and again, until it is no longer asked to."""
    hasty: Counter[str] = Counter()
    while True:
        time.sleep(LOOK_S)
        try:
            with alone(home):
                services = read_services(home)
                if os.getpid() not in {process.pid for process in services.processes}:
                    return
                kept_up(home, services, hasty)
        except (ServicesError, OSError):  # an `up` or a `down` is at work and knows better, or the disk is full
            continue


def kept_up(home: Path, services: Services, hasty: Counter[str]) -> Services:
    """The services with those that died started anew; `hasty` counts the soon deaths in a row of each."""
    for process in services.processes:
        if not is_running(process):
            services = _anew(home, services, process, hasty)
        elif time.time() - process.started >= SOON_S:  # an `up` may have started what was left alone
            hasty[process.name] = 0
    return services


def _anew(home: Path, services: Services, dead: Service, hasty: Counter[str]) -> Services:
    if hasty[dead.name] >= STARTS:
        return services
    hasty[dead.name] = hasty[dead.name] + 1 if time.time() - dead.started < SOON_S else 0
    if hasty[dead.name] >= STARTS:
        _tell(f"{dead.name} ended soon after each of {STARTS} starts; it is left alone, and its log is {dead.log}")
        return services
    write(home, services)  # where the disk is full, nothing is started that could not be written down
    service = spawn(dead.name, command_of(dead.name, home, services.url), os.environ, Path(dead.log))
    kept = replace(services, processes=tuple(service if each is dead else each for each in services.processes))
    write(home, kept)
    _tell(f"{dead.name} (process {dead.pid}) had ended; it is process {service.pid} now")
    return kept


def _tell(words: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {words}", flush=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
