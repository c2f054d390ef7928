"""The commands that start, show and end the Prefect server of this folder and its workers."""

import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from flows.processes import is_running
from flows.screen import counted, print_json, print_table
from flows.services import HOME, PORT, Services, bring_down, bring_up, read_services, server_url
from flows.store_commands import as_json

home_folder = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), default=HOME, show_default=True, help="Where it lives."
)


@click.command()
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535), help="Of the server.")
@home_folder
def up(port: int, home: Path) -> None:
    """Start a Prefect server with pages to look at, the deployments of prefect.yaml, and workers.

    What runs already is kept; nothing is reported to anybody. `perception-r1 down` ends it.
    """
    services = bring_up(home, port, _step)
    click.echo(
        f"\nPrefect is up at {services.url}; logs are in {home}.\n"
        "Next, in this or another terminal:\n"
        f"  export PREFECT_API_URL={services.url}/api\n"
        "  prefect deployment run 'reproduce/embedded' --param profile=quick --watch"
    )


@click.command()
@home_folder
def down(home: Path) -> None:
    """End what `up` started, and nothing else."""
    ended = bring_down(home)
    if not ended.processes:
        click.echo("Nothing was running.")
    for process in ended.processes:
        click.echo(f"ended {process.name} (process {process.pid})")
    if ended.runs:
        click.echo(
            f"{counted(len(ended.runs), 'run')} under way cut off: {', '.join(ended.runs)}. Finished work is kept; "
            "after the next perception-r1 up, Retry on the run's page goes on from there."
        )


@click.command()
@click.option("--runs", default=10, show_default=True, type=click.IntRange(0, 200), help="How many runs to show.")
@home_folder
@as_json
def status(runs: int, home: Path, as_json: bool) -> None:
    """Show what runs: processes, work pools, deployments, the last runs."""
    found = look(home, runs)
    if as_json:
        print_json(found)
        return
    if not found["processes"]:
        click.echo("Nothing is up. To start: perception-r1 up")
        return
    _show_processes(found)
    if found["url"]:
        _show_server(found)


def look(home: Path, runs: int) -> dict[str, Any]:
    """What runs, and what the server knows; without a living server only the processes."""
    from flows import prefect_api

    services = read_services(home)
    url = server_url(home)
    found: dict[str, Any] = {"url": url, "home": str(home), "processes": _processes(services)}
    if not url:
        return found
    pools, deployments = prefect_api.pools(url), prefect_api.deployments(url)
    return found | {"pools": pools, "deployments": deployments, "runs": prefect_api.last_runs(url, runs)}


def _processes(services: Services) -> list[dict[str, Any]]:
    return [asdict(process) | {"running": is_running(process)} for process in services.processes]


def _show_processes(found: dict[str, Any]) -> None:
    click.echo(f"server: {found['url'] or 'gone. To start it again: perception-r1 up'}")
    print_table(
        ["process", "", "number", "since", "log"],
        (
            [p["name"], "running" if p["running"] else "gone", p["pid"], _local(p["started"]), p["log"]]
            for p in found["processes"]
        ),
        right=("number",),
    )


def _show_server(found: dict[str, Any]) -> None:
    print_table(
        ["work pool", "", "runs at once", "workers online"],
        ([pool["name"], pool["status"], pool["limit"], pool["workers"]] for pool in found["pools"]),
        right=("runs at once", "workers online"),
    )
    print_table(
        ["deployment", "pool", "schedules"],
        (
            [deployment["name"], deployment["pool"], ", ".join(map(_schedule, deployment["schedules"]))]
            for deployment in found["deployments"]
        ),
    )
    if not found["runs"]:
        click.echo("No run yet.")
        return
    print_table(
        ["run", "flow", "state", "started (UTC)", "took"],
        (
            [run["name"], run["flow"], run["state"], run["started"][:19].replace("T", " "), f"{run['duration_s']} s"]
            for run in found["runs"]
        ),
        right=("took",),
    )


def _schedule(schedule: dict[str, Any]) -> str:
    return f"{schedule['slug']} ({schedule['when']}, {'active' if schedule['active'] else 'inactive'})"


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _step(title: str) -> AbstractContextManager[Any]:
    from tasks.progress import watching

    return watching(title)


SERVICE_COMMANDS = (up, down, status)
