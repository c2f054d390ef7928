"""Gives a Prefect server what our deployments need: the work pools, and the automation that notices the dead.

Run as a program against the server of PREFECT_API_URL; what exists already is left as it is.
"""

import json
import sys
from datetime import timedelta
from typing import Any

SILENCE_S = 90  # three heartbeats
AT_REST = (  # the states of a run that need no heartbeat; not Running or Cancelling, which a dead run would stay in
    *("Completed", "Cached", "RolledBack", "Failed", "TimedOut", "Cancelled", "Crashed"),
    *("Paused", "Suspended", "Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot"),
)
AUTOMATION = "a run without heartbeat has crashed"


def provide(limits: dict[str, int]) -> None:
    """Creates each pool with its limit, and the automation."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for name, limit in limits.items():
            _provide_pool(client, name, limit)
        if not client.read_automations_by_name(AUTOMATION):
            client.create_automation(silent_runs_have_crashed())
            print(f"automation: {AUTOMATION}")


def _provide_pool(client: Any, name: str, limit: int) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    # The worker's own template: the server would look on the internet for one.
    template = ProcessWorker.get_default_base_job_template()
    wanted = WorkPoolCreate(name=name, type="process", base_job_template=template, concurrency_limit=limit)
    try:
        client.create_work_pool(wanted)
        print(f"work pool: {name}, limit {limit}")
    except ObjectAlreadyExists:
        print(f"work pool: {name} exists")


def silent_runs_have_crashed() -> Any:
    """The automation that marks a run Crashed after a heartbeat that neither another nor a state of rest follows."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={f"prefect.flow-run.{event}" for event in ("heartbeat", *AT_REST)},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=SILENCE_S),
    )
    says = f"No heartbeat for {SILENCE_S} s: its process is gone. Retry goes on from the finished work."
    crashed = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=says, force=False)
    return AutomationCore(name=AUTOMATION, description=says, trigger=trigger, actions=[crashed])


if __name__ == "__main__":
    provide(json.loads(sys.argv[1]))
