"""A child that is forked from the nursery is watched, fails, holds its lock and ends as one that was started afresh."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from perception_r1 import nursery
from perception_r1.child import run_child
from perception_r1.errors import ConfigError, ProcessFailed

ROOT = Path(__file__).resolve().parent.parent
CHILD = """
import json, os, sys, time
from pathlib import Path
from perception_r1.child import end_with_parent, give_up, write_progress
from perception_r1.errors import ConfigError
end_with_parent()
spec = json.loads(Path(sys.argv[1]).read_text())
print("torch was here" if "torch" in sys.modules else "torch was not here", os.environ.get("SAID_LATER"))
write_progress(Path(sys.argv[1]).parent, 1, 1, pid=os.getpid())
time.sleep(spec.get("pause_s", 0))
if "fails" in spec:
    sys.exit(spec["fails"])
if "wrong" in spec:
    give_up(Path(sys.argv[1]).parent, ConfigError(spec["wrong"]))
"""
Run = Callable[..., None]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nursery that is started for this test has imported next to nothing."""
    monkeypatch.setattr(nursery, "PRELOADED", ("perception_r1.child",))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the planted child, forked from one nursery."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "planted_fork.py").write_text(CHILD)
    environment = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "OMP_NUM_THREADS": "1"}

    def run(where: Path, keep_open: tuple[int, ...] = (), **spec: object) -> None:
        run_child("planted_fork", spec, where, forked=True, environment=environment, keep_open=keep_open)

    return run


def pid_of(folder: Path) -> int:
    """The process of the child that runs there, as soon as it has said so."""
    while not (folder / "progress.json").exists():
        time.sleep(0.02)
    return int(json.loads((folder / "progress.json").read_text())["pid"])


def beside(call: Callable[[], None]) -> tuple[threading.Thread, list[Exception]]:
    """A thread that makes the call, and what it raises."""
    raised: list[Exception] = []

    def caught() -> None:
        try:
            call()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=caught)
    thread.start()
    return thread, raised


@pytest.mark.slow
def test_a_child_finds_torch_imported_and_the_environment_as_it_is_now(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said in ("one", "other"):
        monkeypatch.setenv("SAID_LATER", said)
        run(tmp_path)
    assert (tmp_path / "log.txt").read_text() == "torch was here one\ntorch was here other\n"


def test_a_failure_brings_home_its_reason(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="exit code 1: the reason"):
        run(tmp_path / "a", fails="the reason")
    with pytest.raises(ConfigError, match=r"^no such facts$"):
        run(tmp_path / "b", wrong="no such facts")
    with pytest.raises(ProcessFailed, match="exit code 7"):
        run(tmp_path / "c", fails=7)


def test_the_lock_is_the_child_s_alone_and_free_when_it_is_gone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = os.open(path, os.O_RDONLY | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    thread, _ = beside(lambda: run(tmp_path / "run", keep_open=(held,), pause_s=60))
    child = pid_of(tmp_path / "run")
    os.close(held)
    other = os.open(path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(child, signal.SIGKILL)
    thread.join()
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_children_live_side_by_side_and_a_killed_one_is_told_as_such(run: Run, tmp_path: Path) -> None:
    thread, raised = beside(lambda: run(tmp_path / "long", pause_s=60))
    child = pid_of(tmp_path / "long")
    run(tmp_path / "short")
    os.kill(child, signal.SIGKILL)
    thread.join()
    assert "was ended by signal 9" in str(raised[0])


@pytest.mark.usefixtures("light")
def test_when_the_nursery_is_killed_its_children_end_and_the_next_has_a_new_one(run: Run, tmp_path: Path) -> None:
    thread, raised = beside(lambda: run(tmp_path / "long", pause_s=60))
    child = psutil.Process(pid_of(tmp_path / "long"))
    child.parent().kill()
    thread.join()
    assert "was ended by signal 9" in str(raised[0])
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running()
    run(tmp_path / "next")


def test_a_nursery_that_cannot_start_is_a_failure_of_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ProcessFailed, match="no child could be forked; to see why"):
        nursery.born(["x"], 1, {"ANOTHER": str(tmp_path)}, ())


def test_nursery_and_children_end_with_the_process_that_was_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from perception_r1 import nursery; from perception_r1.child import run_child; "
        "nursery.PRELOADED = ('perception_r1.child',); "
        f"run_child('planted_fork', {{'pause_s': 60}}, Path({str(tmp_path)!r}), forked=True)"
    )
    (tmp_path / "planted_fork.py").write_text(CHILD)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    parent = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path})
    pid_of(tmp_path)
    found = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert len(found) == 2
    _, alive = psutil.wait_procs(found, timeout=60)
    assert not alive
