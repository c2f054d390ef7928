"""A Prefect server with its workers on this machine: started, found again, and ended.

    bring_up(home, port, step)    server → work pools and automation → deployments → a worker for each pool → keeper
    server_url(home)              the address of the server that runs, if one does
    bring_down(home)              keeper and workers first, so that nothing is begun on the way out; then the server

`services.json` in the home folder names the processes; everything else there is Prefect's own, or a log.
"""

import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flows import prefect_api
from flows.prefect_api import POOLS
from flows.processes import Service, ServicesError, end, inherited, is_running, log_end, orphans, python, spawn

Watch = Callable[[int, int], None]  # done, total
Step = Callable[[str], AbstractContextManager[Watch]]

HOME = Path(".prefect-r1")
HOST = "127.0.0.1"
KEEPER = "keeper"  # the process that starts anew what died
PORT = 4200
PATIENCE_S = 120  # for the server; a fresh one takes 12 to 23 s on two cores
WORKER_PATIENCE_S = 60


class CannotBeRight(ServicesError):
    """What was asked for is impossible: a port that is taken, a folder without deployments."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Services:
    """What `up` started: the server's address, the processes, and the digest of what was deployed."""

    url: str = ""
    processes: tuple[Service, ...] = ()
    deployed: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What `down` ended: processes, and the runs that were under way."""

    processes: tuple[Service, ...]
    runs: tuple[str, ...]


def server_url(home: Path = HOME) -> str | None:
    """The address of the server that `up` started, if it lives."""
    services = read_services(home)
    return services.url if _running(services, "server") else None


def read_services(home: Path) -> Services:
    """What `up` wrote down; nothing where it never ran, or where the file says something else by now."""
    try:
        said = json.loads((home / "services.json").read_text())
        return Services(said["url"], tuple(Service(**process) for process in said["processes"]), said["deployed"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return Services()


def bring_up(home: Path, port: int, step: Step) -> Services:
    """Everything running; what ran already is kept. On failure nothing that this call started is left."""
    home = home.resolve()
    plan = _plan()
    with alone(home), ExitStack() as undo:
        known = read_services(home)
        services = replace(known, processes=tuple(filter(is_running, known.processes)))
        services = _with_server(home, port, services, step, undo)
        environment = environment_of(home, services.url)
        _provide(home, environment, step)
        services = _deployed(home, plan, environment, services, step)
        services = _with_workers(home, environment, services, step, undo)
        if not _running(services, KEEPER):
            services = _started(home, services, KEEPER, undo, environment)
        undo.pop_all()
        return services


def bring_down(home: Path) -> Ended:
    """What was ended; the runs that were under way are marked as crashed, so that they can be retried."""
    home = home.resolve()
    if not home.is_dir():
        return Ended((), ())
    with alone(home):
        services = read_services(home)
        cut_off = prefect_api.unfinished_runs(services.url) if _answers(services) else []
        # the children of a keeper are the server and the workers that died before: each has its turn
        ended = [process for process in services.processes if process.name == KEEPER and end(process, children=False)]
        workers = [process for process in services.processes if process.name not in ("server", KEEPER)]
        ended += [process for process in (*workers, *orphans(home)) if end(process)]
        with suppress(prefect_api.ServerSilent):  # it is being ended, too
            for run in cut_off:
                prefect_api.mark_crashed(services.url, run, "Ended by perception-r1 down. Retry goes on from there.")
        ended += [process for process in services.processes if process.name == "server" and end(process)]
        write(home, Services(deployed=services.deployed))
        return Ended(tuple(ended), tuple(str(run["name"]) for run in cut_off))


def environment_of(home: Path, url: str) -> dict[str, str]:
    """What our Prefect processes are told: where they live, whom they talk to, and that they report to nobody."""
    ours = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_WORKER_QUERY_SECONDS": "5",  # a run waits that long at most; the default is 10
        "PREFECT_CLI_COLORS": "false",  # what they print goes to files
        "PREFECT_CLI_PROMPT": "false",
        "PYTHONUNBUFFERED": "1",
        "PWD": str(Path.cwd()),  # prefect.yaml asks for it
    }
    kept = inherited(without=("PREFECT_API_", "PREFECT_PROFILE"))  # a person's other server is none of ours
    direct = {name: ",".join(filter(None, (kept.get(name), HOST))) for name in ("no_proxy", "NO_PROXY")}
    return kept | direct | ours


def command_of(name: str, home: Path, url: str) -> list[str]:
    """What starts a process of ours."""
    if name == KEEPER:
        return [sys.executable, "-m", "flows.keeper", str(home)]  # of the folder that we stand in, installed or not
    if name == "server":
        return python("-m", "prefect", "server", "start", "--host", HOST, "--port", url.rpartition(":")[2])
    # the pool says how many runs at once; a worker with a limit of its own dies of a quick retry
    pool = name.removeprefix("worker-")
    return python("-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", name)


def write(home: Path, services: Services) -> None:
    """Writes down what runs; readers never see half of it. Raises ServicesError where the disk is full."""
    partial = home / "services.json.tmp"
    try:
        partial.write_text(json.dumps(asdict(services), indent=2))
        partial.replace(home / "services.json")
    except OSError as error:
        remedy = "free some space, or name another folder with --home"
        raise ServicesError(f"{home / 'services.json'} cannot be written: {error.strerror}; {remedy}") from None


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Holds the home folder: two `up` at once would start two servers."""
    from storage.errors import Busy, Unwritable
    from storage.locks import flock

    with ExitStack() as held:
        try:
            held.enter_context(flock(home / "lock", wait=False))
        except Busy:
            raise ServicesError(f"another perception-r1 up or down is at work in {home}; wait for it") from None
        except (Unwritable, OSError) as error:
            why = getattr(error.__cause__ or error, "strerror", None)
            raise CannotBeRight(f"nothing can be written in {home} ({why}); name another folder with --home") from None
        yield


def _with_server(home: Path, port: int, services: Services, step: Step, undo: ExitStack) -> Services:
    """The services with a server that answers."""
    if _running(services, "server"):
        if services.url != _url(port):
            raise CannotBeRight(f"the server already runs at {services.url}; to move it: perception-r1 down")
    else:
        _check_port(port)
        for worker in services.processes:  # without their server they are of no use
            end(worker)
        services = _started(home, Services(_url(port), deployed=services.deployed), "server", undo)
    server = _named(services, "server")
    with step("Prefect server") as watch, _failing("the server", server.log):
        if not _wait(lambda: prefect_api.is_healthy(services.url), server, PATIENCE_S, watch):
            raise ServicesError(f"it does not answer at {services.url}/api/health after {PATIENCE_S} s")
    return services


def _provide(home: Path, environment: dict[str, str], step: Step) -> None:
    program = Path(__file__).with_name("provision.py")
    with step("work pools and automation"):
        _run("work pools and automation", python(str(program), json.dumps(POOLS)), environment, home / "provision.log")


def _plan() -> str:
    """The digest of what is to be deployed: prefect.yaml, and the folder that its deployments work in."""
    plan = Path("prefect.yaml")
    if not plan.is_file():
        raise CannotBeRight(f"there is no prefect.yaml in {Path.cwd()}; go to the folder of the project")
    return hashlib.sha256(plan.read_bytes() + str(Path.cwd()).encode()).hexdigest()


def _deployed(home: Path, plan: str, environment: dict[str, str], services: Services, step: Step) -> Services:
    """The services with the deployments of prefect.yaml, made anew only where that file or its folder changed.

    Deploying resets every schedule, also those that a person has switched on.
    """
    if plan == services.deployed:
        return services
    with step("deployments"):
        command = python("-m", "prefect", "--no-prompt", "deploy", "--all")
        _run("prefect deploy --all", command, environment, home / "deploy.log")
    services = replace(services, deployed=plan)
    write(home, services)
    return services


def _with_workers(home: Path, environment: dict[str, str], services: Services, step: Step, undo: ExitStack) -> Services:
    """The services with a worker for each pool, each seen online by the server."""
    with step("workers") as watch:
        for pool in POOLS:
            if not _running(services, f"worker-{pool}"):
                services = _started(home, services, f"worker-{pool}", undo, environment)
        for number, pool in enumerate(POOLS):
            _await_worker(services, pool)
            watch(number + 1, len(POOLS))
    return services


def _await_worker(services: Services, pool: str) -> None:
    worker = _named(services, f"worker-{pool}")
    with _failing(f"the worker of pool {pool}", worker.log):

        def heard() -> bool:
            return prefect_api.workers_online(services.url, pool, worker.started) > 0

        if not _wait(heard, worker, WORKER_PATIENCE_S):
            raise ServicesError(f"the server has not heard of it after {WORKER_PATIENCE_S} s")


def _started(
    home: Path, services: Services, name: str, undo: ExitStack, environment: dict[str, str] | None = None
) -> Services:
    """The services with one more process, written down before anything else happens."""
    environment = environment or environment_of(home, services.url)
    process = spawn(name, command_of(name, home, services.url), environment, home / f"{name}.log")
    others = tuple(other for other in services.processes if other.name != name)
    undo.callback(lambda: write(home, replace(services, processes=others)))
    undo.callback(end, process)
    services = replace(services, processes=(*others, process))
    write(home, services)
    return services


def _wait(ready: Callable[[], bool], process: Service, patience_s: int, watch: Watch | None = None) -> bool:
    """Whether it was ready in time; raises ServicesError as soon as the process is gone."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < patience_s:
        if ready():
            return True
        if not is_running(process):
            raise ServicesError("it ended by itself")
        if watch:
            watch(int(waited), patience_s)
        time.sleep(0.25)
    return False


def _run(what: str, command: list[str], environment: dict[str, str], log: Path) -> None:
    """Runs a program to its end; raises ServicesError with the end of its log if it fails."""
    with log.open("wb") as said:
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment
        ).returncode
    if code:
        raise ServicesError(f"{what} failed with exit code {code}; its log is {log} and ends:\n{log_end(log)}")


@contextmanager
def _failing(what: str, log: str) -> Iterator[None]:
    """Says which step failed, and how its log ends."""
    try:
        yield
    except ServicesError as error:
        raise ServicesError(f"{what} did not start: {error}; its log is {log} and ends:\n{log_end(log)}") from None


def _check_port(port: int) -> None:
    if _is_free(port):
        return
    other = next(number for number in range(port + 1, port + 1000) if _is_free(number))
    raise CannotBeRight(
        f"port {port} is used by another program; end it, or choose another port: perception-r1 up --port {other}"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _running(services: Services, name: str) -> bool:
    return any(process.name == name and is_running(process) for process in services.processes)


def _named(services: Services, name: str) -> Service:
    (found,) = (process for process in services.processes if process.name == name)
    return found


def _answers(services: Services) -> bool:
    return _running(services, "server") and prefect_api.is_healthy(services.url)
