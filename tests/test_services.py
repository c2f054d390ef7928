"""`up`, `status` and `down` against a real Prefect server, and processes that are ended for certain."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from flows import prefect_api, services, stage_commands
from flows.processes import RUN, Service, ServicesError, end, is_running, log_end, spawn, stray_servers
from flows.provision import AUTOMATION
from flows.service_commands import down, status, up
from flows.services import CannotBeRight, Services, bring_down, bring_up, read_services, server_url, write
from storage.locks import flock

ROOT = Path(__file__).resolve().parent.parent
FLOW = """
from prefect import flow

@flow(persist_result=False)
def greet(name: str = "nobody") -> str:
    if name == "nobody":
        raise ValueError("there is nobody to greet")
    return name
"""
PLAN = """
name: stand-in
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: "{{ $PWD }}"
deployments:
  - name: embedded
    entrypoint: flows/greet.py:greet
    parameters: {name: world}
    work_pool: {name: cpu, job_variables: {env: {OMP_NUM_THREADS: "1"}}}
    schedules:
      - {slug: nightly, cron: "0 2 * * *", timezone: UTC, active: false}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a small próject"
    (folder / "flows").mkdir(parents=True)
    (folder / "flows/greet.py").write_text(FLOW)
    (folder / "prefect.yaml").write_text(PLAN)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def home(project: Path) -> Iterator[Path]:
    yield project / ".prefect-r1"
    bring_down(project / ".prefect-r1")


@contextmanager
def silent(title: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def typed(command: Any, *words: str) -> Result:
    return CliRunner().invoke(command, words, catch_exceptions=False)


def run_to_its_end(url: str, deployment: str) -> str:
    """The name of the state that a new run of the deployment ends in."""
    flow, _, name = deployment.partition("/")
    made = prefect_api.ask(url, f"deployments/name/{flow}/{name}")
    run = prefect_api.ask(url, f"deployments/{made['id']}/create_flow_run", {})
    for _ in range(240):
        now = prefect_api.ask(url, f"flow_runs/{run['id']}")
        if now["state_type"] not in {"SCHEDULED", "PENDING", "RUNNING"}:
            return str(now["state_name"])
        time.sleep(0.25)
    return "still not ended"


def await_anew(home: Path, dead: Service) -> Service:
    """What took the place of a process that died."""
    for _ in range(240):
        for process in read_services(home).processes:
            if process.name == dead.name and process.pid != dead.pid:
                return process
        time.sleep(0.25)
    raise AssertionError(log_end(home / "keeper.log"))


def through(url: str, deployment: str, name: str) -> str:
    """What comes of running the stages, of which there is one here, through work pools."""
    program = (
        "import sys; from flows.pools import run_through\n"
        "try: run_through(sys.argv[1], {'name': sys.argv[2]}, 'the same again', stages=('greet',)); print('done')\n"
        "except Exception as error: print(f'{type(error).__name__}: {error}')"
    )
    environment = os.environ | {"PREFECT_API_URL": f"{url}/api", "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", program, deployment, name]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_up_runs_a_deployment_and_down_leaves_no_process(home: Path) -> None:
    port = free_port()
    started = typed(up, "--port", str(port))
    assert started.exit_code == 0 and f"http://127.0.0.1:{port}" in started.output
    url = server_url(home)
    assert url == f"http://127.0.0.1:{port}"
    first = read_services(home).processes

    assert run_to_its_end(url, "greet/embedded") == "Completed"

    assert typed(up, "--port", str(port)).exit_code == 0
    assert read_services(home).processes == first, "a second up finds what runs"
    with pytest.raises(CannotBeRight, match="already runs at"):
        bring_up(home, free_port(), silent)

    shown = json.loads(typed(status, "--json").output)
    assert [(p["name"], p["running"]) for p in shown["processes"]] == [
        ("server", True),
        ("worker-cpu", True),
        ("worker-gpu", True),
        ("keeper", True),
    ]
    assert [(pool["name"], pool["limit"], pool["workers"]) for pool in shown["pools"]] == [("cpu", 2, 1), ("gpu", 1, 1)]
    (deployment,) = shown["deployments"]
    assert (deployment["name"], deployment["pool"]) == ("greet/embedded", "cpu")
    assert deployment["schedules"] == [{"slug": "nightly", "when": "0 2 * * *", "active": False}]
    assert [(run["flow"], run["state"]) for run in shown["runs"]] == [("greet", "Completed")]
    assert "nightly (0 2 * * *, inactive)" in typed(status).output
    assert [automation["name"] for automation in prefect_api.ask(url, "automations/filter", {})] == [AUTOMATION]

    assert through(url, "embedded", "somebody") == "done"
    assert through(url, "embedded", "nobody").startswith("StageFailed: greet failed: its run ")
    assert through(url, "paper", "somebody") == (
        "ConfigError: there is no deployment greet/paper: perception-r1 up, or prefect deploy --all"
    )

    os.kill(first[1].pid, signal.SIGKILL)
    await_anew(home, first[1])
    assert run_to_its_end(url, "greet/embedded") == "Completed", "by the worker that took its place"

    family = [psutil.Process(service.pid) for service in read_services(home).processes]
    family += [child for process in family for child in process.children(recursive=True)]
    assert [f"ended {service.name}" in typed(down).output for service in first[:1]] == [True]
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert server_url(home) is None
    assert typed(down).output == "Nothing was running.\n"


def test_a_worker_has_no_limit_beside_that_of_its_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one, Prefect's worker ends itself when a run that crashed is retried before its place was given back."""
    commands = []

    def spawned(name: str, command: list[str], environment: dict[str, str], log: Path) -> Service:
        commands.append(command)
        return Service(name, 0, 0.0, str(log))

    monkeypatch.setattr(services, "spawn", spawned)
    monkeypatch.setattr(services, "_await_worker", lambda services, pool: None)
    services._with_workers(tmp_path, {}, Services("http://127.0.0.1:9"), silent, ExitStack())
    assert [command[command.index("--pool") + 1] for command in commands] == list(prefect_api.POOLS)
    assert not any("--limit" in command for command in commands)


@pytest.mark.timeout(120)
def test_a_server_that_fails_is_named_with_the_end_of_its_log_and_nothing_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////no/such/folder/prefect.db")
    with pytest.raises(ServicesError, match="the server did not start: it ended by itself") as error:
        bring_up(home, free_port(), silent)
    assert "unable to open database file" in str(error.value)
    assert read_services(home).processes == ()
    assert error.value.exit_code == 1


def test_a_port_in_use_is_named_with_a_free_one_and_nothing_is_started(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotBeRight, match=rf"port {port} is used .* perception-r1 up --port \d+") as error:
            bring_up(home, port, silent)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    assert read_services(home) == Services()


def test_up_in_a_folder_without_deployments_says_where_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotBeRight, match=r"no prefect\.yaml in .*; go to the folder of the project"):
        bring_up(tmp_path / "home", free_port(), silent)
    assert not (tmp_path / "home").exists()


def test_two_at_once_do_not_start_two_servers(home: Path) -> None:
    with flock(home / "lock"), pytest.raises(ServicesError, match="another perception-r1 up or down is at work"):
        bring_up(home, free_port(), silent)


def test_status_of_nothing_says_how_to_start(home: Path) -> None:
    assert typed(status).output == "Nothing is up. To start: perception-r1 up\n"
    shown = json.loads(typed(status, "--json").output)
    assert (shown["url"], shown["processes"]) == (None, [])
    assert typed(down).output == "Nothing was running.\n"
    assert not home.exists()


def test_a_server_that_is_gone_is_shown_as_gone_and_its_log_named(home: Path) -> None:
    home.mkdir()
    gone = {"name": "server", "pid": os.getpid(), "started": 1.0, "log": "somewhere/server.log"}
    (home / "services.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "processes": [gone], "deployed": ""}))
    shown = typed(status).output
    assert "server: gone" in shown and "somewhere/server.log" in shown


@pytest.mark.parametrize("said", [b"[]", b"{}", b"null", b'{"url": "u", "processes": [{}], "deployed": ""}', b"\xff"])
def test_what_is_no_list_of_services_names_none(home: Path, said: bytes) -> None:
    home.mkdir()
    (home / "services.json").write_bytes(said)
    assert typed(status).output == "Nothing is up. To start: perception-r1 up\n"
    assert server_url(home) is None


def test_a_home_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotBeRight, match=r"written in \S*file/home \(Not a directory\); .* --home"):
        bring_up(tmp_path / "file" / "home", free_port(), silent)


def started(code: str, folder: Path) -> Service:
    """A Python process that has printed `ready`."""
    log = folder / "log"
    service = spawn("test", [sys.executable, "-c", code], os.environ, log)
    for _ in range(400):
        if "ready" in log.read_text():
            return service
        time.sleep(0.05)
    raise AssertionError(log_end(log))


def test_a_number_that_was_given_to_another_process_is_never_ended(tmp_path: Path) -> None:
    service = started("import time; print('ready', flush=True); time.sleep(60)", tmp_path)
    other = Service("server", service.pid, service.started - 60, service.log)
    assert not is_running(other)
    assert not end(other)
    assert is_running(service)
    assert end(service)
    assert not is_running(service)


def test_what_does_not_listen_is_ended_with_all_its_children(tmp_path: Path) -> None:
    deaf = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    child = deaf + "print('ready', flush=True); time.sleep(60)"
    own_session = f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True); "
    service = started(deaf + own_session + "time.sleep(60)", tmp_path)
    children = psutil.Process(service.pid).children(recursive=True)
    assert len(children) == 1
    assert end(service, grace_s=0.2)
    assert not is_running(service)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_down_marks_the_runs_before_it_ends_a_server_that_the_keeper_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    waiting = "import time; time.sleep(60)"
    spawning = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {waiting!r}]); "
    kept = started(spawning + "print('ready', child.pid, flush=True); " + waiting, home)
    pid = int(log_end(kept.log).split()[1])
    server = Service("server", pid, psutil.Process(pid).create_time(), "server.log")
    write(home, Services("http://127.0.0.1:9", (server, replace(kept, name="keeper"))))
    marked = []
    monkeypatch.setattr(prefect_api, "is_healthy", lambda url: True)
    monkeypatch.setattr(prefect_api, "unfinished_runs", lambda url: [{"id": "1", "name": "a-run"}])
    monkeypatch.setattr(prefect_api, "mark_crashed", lambda url, run, says: marked.append(is_running(server)))
    ended = bring_down(home)
    assert marked == [True]
    assert [process.name for process in ended.processes] == ["keeper", "server"]
    assert not is_running(server)


def test_down_ends_a_run_that_outlived_its_worker_and_no_run_of_another_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "1")
    (home / "b").mkdir()
    waiting = "import time; print('ready', flush=True); time.sleep(60)"
    monkeypatch.setenv("PREFECT_HOME", str(home))
    ours = started(waiting, home)
    monkeypatch.setenv("PREFECT_HOME", str(home / "b"))
    theirs = started(waiting, home / "b")
    assert typed(down).output == f"ended run (process {ours.pid})\n"
    assert is_running(theirs)
    assert end(theirs)


def test_a_server_whose_run_was_killed_is_found_and_one_whose_run_lives_is_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    waiting = "import time; print('ready', flush=True); time.sleep(60)"
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.setenv("PREFECT__SERVER_EPHEMERAL", "1")
    found = []
    for number, run in enumerate((gone.pid, os.getpid())):
        monkeypatch.setenv(RUN, str(run))
        (home / str(number)).mkdir(parents=True)
        found.append(started(waiting, home / str(number)))
    try:
        assert [server.pid for server in stray_servers(home)] == [found[0].pid]
        assert stray_servers(home / "another") == ()
    finally:
        assert all(end(server) for server in found)


def test_a_server_that_does_not_answer_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Failed to reach API at http://127.0.0.1:9/api/")

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(stage_commands, "_flow", lambda stage: fails)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Ctrl-C stays pytest's
    with pytest.raises(ServicesError, match=r"127\.0\.0\.1:9/api does not answer; start it, unset PREFECT_API_URL"):
        stage_commands._run("annotate")


def test_a_child_hears_ctrl_c_even_where_this_process_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = (
            "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, 'ready', flush=True)"
        )
        service = started(code, tmp_path)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert log_end(service.log) == "True ready"


def test_the_commands_import_nothing_heavy() -> None:
    code = (
        "import sys, flows.service_commands, flows.doctor; "
        "print({'prefect', 'torch', 'psutil', 'pydantic', 'duckdb', 'rich'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
