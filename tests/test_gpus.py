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

HERE = {"0": "GPU-a", "1": "GPU-b"}


def test_two_leases_never_hold_the_same_gpu(tmp_path: Path) -> None:
    with leased(1, HERE, tmp_path) as (first, _), leased(1, HERE, tmp_path) as (second, _):
        assert (first, second) == (["0"], ["1"])


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
    assert got == ["0", "1"]


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
    with leased(3, {}, tmp_path) as lease:
        assert lease == ([], [])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(None, {"0": "GPU-ab", "1": "GPU-cd"}, id="all"),
        pytest.param("1, 0", {"1": "GPU-cd", "0": "GPU-ab"}, id="numbers"),
        pytest.param("GPU-cd", {"1": "GPU-cd"}, id="a-name"),
        pytest.param("GPU-c", {"1": "GPU-cd"}, id="the-beginning-of-a-name"),
        pytest.param("0,-1,1", {"0": "GPU-ab"}, id="nothing-behind-a-negative-number"),
        pytest.param("MIG-5", {"MIG-5": "MIG-5"}, id="a-part-of-a-card"),
        pytest.param("", {}, id="none"),
    ],
)
def test_a_card_has_one_lock_however_it_is_named_and_a_number_that_vllm_takes(
    said: str | None, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\nprintf '0, GPU-ab\\n1, GPU-cd\\n'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv(VISIBLE, raising=False)
    if said is not None:
        monkeypatch.setenv(VISIBLE, said)
    assert gpus_here() == expected


def test_without_a_driver_the_numbers_that_were_given_are_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(VISIBLE, "0,2")
    assert gpus_here() == {"0": "0", "2": "2"}
