"""The few questions that are put to a Prefect server without importing Prefect, which takes seconds."""

import json
import time
import urllib.request
from datetime import UTC, datetime
from typing import Any

from flows.processes import ServicesError

TIMEOUT_S = 10.0
BUSY = 503
POOLS = {"cpu": 2, "gpu": 1}  # runs at once; more than one on a GPU would not fit
UNFINISHED = ["RUNNING", "PENDING", "CANCELLING"]


class ServerSilent(ServicesError):
    """The Prefect server gave no answer that can be used."""


def is_healthy(url: str, timeout_s: float = 2.0) -> bool:
    """Whether a Prefect server answers at the URL."""
    try:
        return ask(url, "health", timeout_s=timeout_s) is True
    except ServerSilent:
        return False


def ask(url: str, path: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> Any:
    """What the server answers; raises ServerSilent where that is nothing, a refusal, or no JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/{path}", data, {"Content-Type": "application/json"})
    # a proxy cannot reach this machine's loopback
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for pause_s in (1, 2, 4, None):
        try:
            with direct.open(request, timeout=timeout_s) as answer:
                return json.loads(answer.read() or b"null")
        except (OSError, ValueError) as error:
            if getattr(error, "code", None) == BUSY and pause_s:  # its database was locked: it asks to be asked again
                time.sleep(pause_s)
                continue
            raise ServerSilent(f"the Prefect server does not answer {url}/api/{path}: {error}") from error
    return None


def pools(url: str) -> list[dict[str, Any]]:
    """Our work pools, each with how many of its workers are online."""
    found = ask(url, "work_pools/filter", {"work_pools": {"name": {"any_": list(POOLS)}}})
    return [
        {
            "name": pool["name"],
            "limit": pool["concurrency_limit"],
            "status": pool["status"].lower(),
            "workers": workers_online(url, pool["name"]),
        }
        for pool in sorted(found, key=lambda pool: str(pool["name"]))
    ]


def workers_online(url: str, pool: str, since: float = 0.0) -> int:
    """How many workers of a pool are online, and were heard since then (seconds since 1970)."""
    heard = {"after_": datetime.fromtimestamp(since, UTC).isoformat()}
    which = {"workers": {"status": {"any_": ["ONLINE"]}, "last_heartbeat_time": heard}}
    return len(ask(url, f"work_pools/{pool}/workers/filter", which))


def deployments(url: str) -> list[dict[str, Any]]:
    """The deployments, each with its pool and its schedules."""
    flows = _flow_names(url)
    found = ask(url, "deployments/filter", {})
    return sorted(
        (
            {
                "name": f"{flows.get(deployment['flow_id'], '?')}/{deployment['name']}",
                "pool": deployment["work_pool_name"],
                "paused": deployment["paused"],
                "schedules": [_schedule(schedule) for schedule in deployment["schedules"]],
            }
            for deployment in found
        ),
        key=lambda deployment: str(deployment["name"]),
    )


def _schedule(schedule: dict[str, Any]) -> dict[str, Any]:
    cron = schedule["schedule"].get("cron") or f"every {schedule['schedule'].get('interval', '?')} s"
    return {"slug": schedule["slug"], "when": cron, "active": schedule["active"]}


def last_runs(url: str, limit: int) -> list[dict[str, Any]]:
    """The runs that last began, newest first."""
    flows = _flow_names(url)
    found = ask(url, "flow_runs/filter", {"sort": "START_TIME_DESC", "limit": limit, "flow_runs": BEGUN})
    return [
        {
            "flow": flows.get(run["flow_id"], "?"),
            "name": run["name"],
            "state": run["state_name"],
            "started": run["start_time"],
            "duration_s": round(run["total_run_time"] or run["estimated_run_time"] or 0.0, 1),
            "id": run["id"],
        }
        for run in found
    ]


BEGUN = {"start_time": {"is_null_": False}}


def _flow_names(url: str) -> dict[str, str]:
    return {flow["id"]: flow["name"] for flow in ask(url, "flows/filter", {})}


def unfinished_runs(url: str) -> list[dict[str, Any]]:
    """The runs that our workers have in hand."""
    which = {"flow_runs": {"state": {"type": {"any_": UNFINISHED}}}, "work_pools": {"name": {"any_": list(POOLS)}}}
    found: list[dict[str, Any]] = ask(url, "flow_runs/filter", which)
    return found


def mark_crashed(url: str, run: dict[str, Any], says: str) -> None:
    """Says of a run, and of its tasks, that they are under way no longer; what has finished by now is left alone."""
    state = {"state": {"type": "CRASHED", "name": "Crashed", "message": says}, "force": True}
    own = {"flow_runs": {"id": {"any_": [run["id"]]}}, "task_runs": {"state": {"type": {"any_": UNFINISHED}}}}
    for task in ask(url, "task_runs/filter", own):
        ask(url, f"task_runs/{task['id']}/set_state", state)
    if ask(url, f"flow_runs/{run['id']}")["state_type"] in UNFINISHED:
        ask(url, f"flow_runs/{run['id']}/set_state", state)
