"""What died is started anew, within reason."""

import os
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from flows import keeper, services
from flows.processes import Service, ServicesError
from flows.services import Services, read_services


def test_what_died_is_started_anew_and_what_dies_at_once_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spawned: list[list[str]] = []

    def spawning(name: str, command: list[str], environment: dict[str, str], log: Path) -> Service:
        spawned.append(command)
        return Service(name, 2**22 + len(spawned), time.time(), str(log))  # above what a number can be: dead at once

    monkeypatch.setattr(keeper, "spawn", spawning)
    alive = Service("server", os.getpid(), psutil.Process().create_time(), "server.log")
    dead = Service("worker-cpu", 2**22, time.time() - 3600, "worker-cpu.log")
    known, hasty = Services("http://127.0.0.1:9", (alive, dead)), Counter[str]()
    for _ in range(6):
        known = keeper.kept_up(tmp_path, known, hasty)
    assert known.processes[0] == alive
    assert [(process.name, process.pid) for process in known.processes[1:]] == [("worker-cpu", 2**22 + 3)]
    assert spawned == [services.command_of("worker-cpu", tmp_path, known.url)] * 3
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith(f"worker-cpu (process {2**22}) had ended; it is process {2**22 + 1} now")
    assert told[3:] == [told[3]]
    assert told[3].endswith("ended soon after each of 3 starts; it is left alone, and its log is worker-cpu.log")
    assert read_services(tmp_path) == known

    myself = Service("worker-cpu", os.getpid(), psutil.Process().create_time(), "worker-cpu.log")
    monkeypatch.setattr(keeper, "SOON_S", -1.0)  # what an `up` started lasts
    keeper.kept_up(tmp_path, Services(known.url, (myself,)), hasty)
    again = keeper.kept_up(tmp_path, Services(known.url, (dead,)), hasty)
    assert again.processes[0].pid == 2**22 + 4, "it is watched over again"


def test_nothing_is_started_anew_that_could_not_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "spawn", lambda *given: pytest.fail("nobody would end it"))
    (tmp_path / "services.json.tmp").symlink_to("/dev/full")
    dead = Service("worker-cpu", 2**22, time.time() - 3600, "worker-cpu.log")
    with pytest.raises(ServicesError, match=r"services\.json cannot be written: No space left on device; free some"):
        keeper.kept_up(tmp_path, Services("http://127.0.0.1:9", (dead,)), Counter())
