"""The policy's vLLM server: started by the run's first process, waited for, watched, and ended with it however it ends.

A server that is there already (`train.policy_server.base_url`) is used as it is. The weights that it serves are the
run's: TRL pushes them before each generation.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from perception_r1.errors import TrainingFailed
from perception_r1.gpus import VISIBLE, leased
from perception_r1.sections import Train
from perception_r1.train.launch import BEHIND
from perception_r1.train.spec import RunSpec

LOG = "vllm.log"
LOG_END = 5  # lines
LOOK_S = 1.0
GOODBYE_S = 30.0
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
PORTS = 100  # tried from the configured one on
SCALE_OUT = (0, 30)  # from this release on, pictures need --enable-scale-out


def command(base: Path, train: Train, release: tuple[int, ...]) -> list[str]:
    """`vllm serve` as TRL 1.16 wants it, with the run's limits of pictures."""
    settings = train.policy_server
    limits = {"min_pixels": train.min_pixels, "max_pixels": train.max_pixels}
    limits = {name: pixels for name, pixels in limits.items() if pixels}
    words = [
        *("vllm", "serve", str(base), "--port", str(settings.port)),
        *("--tensor-parallel-size", str(settings.tensor_parallel)),
        *("--data-parallel-size", str(settings.data_parallel)),
        *("--dtype", "bfloat16" if train.bf16 else "float32"),
        *("--weight-transfer-config", '{"backend": "nccl"}'),
        *("--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1"),
    ]
    words += ["--enable-scale-out"] if release >= SCALE_OUT else []
    words += ["--mm-processor-kwargs", json.dumps(limits)] if limits else []
    if train.max_prompt_tokens:
        words += ["--max-model-len", str(train.max_prompt_tokens + train.max_completion_tokens)]
    return words


def environment(around: Mapping[str, str]) -> dict[str, str]:
    """What the server is started in: the GPUs behind those of the trainer, and nothing of the trainer's own rank."""
    launcher = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
    kept = {
        name: value for name, value in around.items() if name not in launcher and not name.startswith("TORCHELASTIC")
    }
    behind = {VISIBLE: around[BEHIND]} if around.get(BEHIND) else {}
    return kept | behind | {"VLLM_SERVER_DEV_MODE": "1"}


@contextmanager
def policy_server(spec: RunSpec, base: Path) -> Iterator[tuple[RunSpec, Callable[[], str]]]:
    """Starts a server where the run needs one.

    Gives the run with the ports that its server has, and a function that says why the server ended, or nothing while
    it lives.
    """
    settings = spec.train.policy_server
    first = os.environ.get("RANK", "0") == "0"
    if spec.train.generate_with != "vllm_server" or settings.base_url or not first:
        yield spec, lambda: ""
        return
    version = release()
    with _port(settings.port) as port, _port(settings.weights_port) as weights_port:
        settings = replace(settings, port=port, weights_port=weights_port)
        spec = replace(spec, train=replace(spec.train, policy_server=settings))
        with _started(spec, base, version) as ended:
            yield spec, ended


@contextmanager
def _port(first: int) -> Iterator[int]:
    """The first port from there on at which nobody listens, for this run alone.

    Two runs with one port would be served by one server: each would generate with the other's weights.
    """
    free = {str(port): f"port-{port}" for port in range(first, first + PORTS) if _is_free(port)}
    with leased(1, free) as (taken, _):
        if not taken:
            raise TrainingFailed(f"no port from {first} to {first + PORTS - 1} is free (train.policy_server)")
        yield int(taken[0])


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended hold no port
        try:
            tried.bind(("", port))
        except OSError:
            return False
    return True


@contextmanager
def _started(spec: RunSpec, base: Path, release: tuple[int, ...]) -> Iterator[Callable[[], str]]:
    settings = spec.train.policy_server
    words = command(base, spec.train, release)
    log = spec.folder / LOG
    with log.open("ab") as said:
        server = subprocess.Popen(
            words,
            env=environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    try:
        _await(server, f"http://localhost:{settings.port}/health", settings.start_timeout_s, log)
        yield lambda: _ended(server, log)
    finally:
        _end(server)


def release() -> tuple[int, ...]:
    """The installed vLLM's release; raises TrainingFailed where there is none."""
    try:
        version = metadata.version("vllm")
    except metadata.PackageNotFoundError:
        raise TrainingFailed(
            "train.generate_with = 'vllm_server' needs vLLM: pip install 'perception-r1[gpu]', or name a server that "
            "is there already as train.policy_server.base_url"
        ) from None
    return tuple(int(part) for part in version.split("+")[0].split(".")[:2])


def _await(server: "subprocess.Popen[bytes]", url: str, timeout_s: float, log: Path) -> None:
    ends = time.monotonic() + timeout_s
    while not _is_up(url):
        if told := _ended(server, log):
            raise TrainingFailed(told)
        if time.monotonic() > ends:
            raise TrainingFailed(
                f"the policy's vLLM server was not up after {timeout_s:g} s (train.policy_server.start_timeout_s); "
                f"its log is {log}"
            )
        time.sleep(LOOK_S)


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _ended(server: "subprocess.Popen[bytes]", log: Path) -> str:
    if server.poll() is None:
        return ""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-LOG_END:]
    return (
        f"the policy's vLLM server ended with exit code {server.returncode}: {' | '.join(lines) or 'it said nothing'}"
    )


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Ends the server and what it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            server.wait(GOODBYE_S)
            return


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)
