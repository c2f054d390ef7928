"""One child at a time has a GPU, whichever store it works for."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perception_r1.errors import ConfigError
from perception_r1.gpus import VISIBLE, gpus_here, leased

HERE = ("GPU-a", "GPU-b")


def test_two_leases_never_hold_the_same_gpu(tmp_path: Path) -> None:
    with leased(1, HERE, tmp_path) as (first, _), leased(1, HERE, tmp_path) as (second, _):
        assert (first, second) == (["GPU-a"], ["GPU-b"])


def test_who_wants_both_waits_until_both_are_free(tmp_path: Path) -> None:
    got: list[str] = []

    def want_both() -> None:
        with leased(2, HERE, tmp_path) as (names, _):
            got.extend(names)

    with leased(1, HERE, tmp_path):
        waiting = threading.Thread(target=want_both)
        waiting.start()
        waiting.join(1.5)
        assert got == []
    waiting.join(30)
    assert got == ["GPU-a", "GPU-b"]


def test_the_kernel_frees_the_lease_of_a_process_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from perception_r1.gpus import leased\n"
        f"with leased(2, {HERE}, Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with leased(2, HERE, tmp_path) as (names, _):
        assert names == list(HERE)


def test_more_than_there_are_is_refused_and_none_is_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"3 GPUs are asked for, and 2 can be used here: lower train\.processes"):
        leased(3, HERE, tmp_path).__enter__()
    with leased(3, (), tmp_path) as lease:
        assert lease == ([], [])


@pytest.mark.parametrize(("said", "expected"), [("0, 2", ("0", "2")), ("", ())])
def test_the_environment_says_which_gpus_may_be_used(
    said: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, said)
    assert gpus_here() == expected
