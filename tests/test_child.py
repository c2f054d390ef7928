"""A child process ends well, ends with its reason, and ends with its parent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perception_r1 import child
from perception_r1.child import PARENT, run_child
from perception_r1.errors import ConfigError, ProcessFailed

CHILD = """
import json, sys, time
from pathlib import Path
from perception_r1.child import end_with_parent, give_up, write_progress
from perception_r1.errors import ConfigError
end_with_parent()
spec = json.loads(Path(sys.argv[1]).read_text())
for step in range(3):
    write_progress(Path(sys.argv[1]).parent, step + 1, 3, **({"said": "accuracy 0.50"} if step == 2 else {}))
    time.sleep(spec["pause_s"])
if spec["fails"]:
    sys.exit("the reason")
if "wrong" in spec:
    give_up(Path(sys.argv[1]).parent, ConfigError(spec["wrong"]))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "planted_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    return "planted_child"


def test_progress_reaches_the_parent_and_the_spec_stays_for_a_replay(module: str, tmp_path: Path) -> None:
    seen: list[tuple[object, ...]] = []
    run_child(module, {"pause_s": 0.3, "fails": False}, tmp_path / "run", watch=lambda *step: seen.append(step))
    assert seen[0] == (1, 3)
    assert seen[-1] == (3, 3, "accuracy 0.50")
    assert json.loads((tmp_path / "run" / "RUN.json").read_text())["pause_s"] == 0.3


def test_a_failure_brings_home_its_reason_and_the_end_of_this_try_s_log(module: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "log.txt").write_text("an earlier try\n")
    with pytest.raises(ProcessFailed, match="exit code 1: the reason") as error:
        run_child(module, {"pause_s": 0, "fails": True}, folder)
    assert "an earlier try" not in str(error.value)
    assert str(folder / "log.txt") in str(error.value)


def test_a_full_disk_is_the_cause_whatever_the_child_could_say_of_it(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "NO_ROOM", 1 << 62)
    with pytest.raises(ProcessFailed, match=r"the disk of .*run is full \(.* MB are free\); free some space"):
        run_child(module, {"pause_s": 0, "fails": True}, tmp_path / "run")


def test_what_a_child_cannot_be_asked_for_is_a_matter_of_the_configuration(module: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no such facts$"):
        run_child(module, {"pause_s": 0, "fails": False, "wrong": "no such facts"}, tmp_path / "run")


def test_a_child_ends_with_the_parent_that_was_killed(module: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    spec = {"pause_s": 60, "fails": False}
    code = (
        "from pathlib import Path; from perception_r1.child import run_child; "
        f"run_child({module!r}, {spec!r}, Path({str(folder)!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (folder / "progress.json").exists():
        time.sleep(0.05)
    children = subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True).stdout.split()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    ended = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < ended:
        time.sleep(0.1)
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_child_that_is_replayed_by_hand_needs_no_parent(module: str, tmp_path: Path) -> None:
    run = tmp_path / "RUN.json"
    run.write_text(json.dumps({"pause_s": 0, "fails": False}))
    environment = {name: value for name, value in os.environ.items() if name != PARENT}
    assert subprocess.run([sys.executable, "-m", module, run], env=environment).returncode == 0


INTERRUPTED = """
import signal, threading, time
from pathlib import Path
from perception_r1.child import run_child
from tasks.orchestration import crew

def interrupt(folder, thread):
    while not (folder / "progress.json").exists():
        time.sleep(0.05)
    time.sleep(0.5)  # for the main thread to wait
    signal.pthread_kill(thread or threading.get_ident(), signal.SIGINT)

folder = Path({folder!r})
threading.Thread(target=interrupt, args=(folder, {thread}), daemon=True).start()
with crew(1) as submit:
    submit(run_child, {module!r}, {spec!r}, folder)
"""


@pytest.mark.parametrize("thread", ["threading.main_thread().ident", "None"], ids=["the-main-one", "another"])
def test_interrupted_the_parent_ends_its_child_whichever_thread_the_kernel_tells(
    module: str, tmp_path: Path, thread: str
) -> None:
    spec = {"pause_s": 600, "fails": False}
    code = INTERRUPTED.format(folder=str(tmp_path / "run"), thread=thread, module=module, spec=spec)
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True) as parent:
        _, said = parent.communicate(timeout=100)
    assert b"KeyboardInterrupt" in said


def test_a_child_without_a_lease_sees_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "looking.py").write_text("import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    run_child("looking", {}, tmp_path / "run")
    assert (tmp_path / "run" / "log.txt").read_text() == "''\n"
