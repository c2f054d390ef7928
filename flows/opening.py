"""What every flow begins with: a configuration and a store."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from perception_r1.benchmarks.dataset import files
from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.config import asked, load
from perception_r1.endpoints import key_of
from perception_r1.errors import NO_VLLM, ConfigError
from perception_r1.evaluate.conditions import captions_of
from perception_r1.evaluate.demonstrations import bank
from perception_r1.evaluate.perceived import annotated, stored
from perception_r1.sections import PINNED, Config, Evaluate
from perception_r1.wire.transport import address
from storage import Store, open_store
from tasks.job import Job, command_of
from tasks.orchestration import publish_failure
from tasks.pages import with_prefect


def opened(
    stage: str,
    config: str,
    profile: str,
    overrides: Sequence[str],
    store: str,
    force: bool,
    elsewhere: bool = False,
) -> Job:
    """The job that these parameters mean; raises ConfigError before anything is done. `elsewhere`: workers do it."""
    command = command_of(stage, config, profile, overrides, store, force)
    try:
        loaded = load(Path(config), profile, overrides)
        place = open_store(store or None, producer={"stage": stage, **_flow_run()})
        check_needs(loaded, stage, place, elsewhere)
    except Exception as error:
        publish_failure(command, stage, error)
        raise
    return Job(loaded, place, command, stage if force else "")


def check_needs(config: Config, stage: str, store: Store, elsewhere: bool = False) -> None:
    """Looks for what the stage will need beside its configuration; raises ConfigError, or NotFound."""
    for _, name in asked(config, stage):
        endpoint = config.endpoints[name]
        key_of(endpoint)
        if endpoint.base_url:
            address(endpoint)
    if stage in ("run", "evaluate"):
        _readable(config.evaluate, store)
        if config.evaluate.generate_with == "vllm" and not elsewhere and find_spec("vllm") is None:
            raise ConfigError(NO_VLLM.format("it is not installed"))
    if stage in ("run", "validate", "train") and config.validate.labels:
        from perception_r1.validate import read_labels  # with scipy, which no other stage waits for

        read_labels(Path(config.validate.labels))


def _readable(settings: Evaluate, store: Store) -> None:
    """Reads what would be read after training; raises ConfigError, or NotFound for what is not in the store."""
    bank(settings.demonstrations)
    for name in settings.benchmarks if "caption" in settings.conditions else ():
        if (dataset := BENCHMARKS[name].DATA) and dataset.repo and not settings.data.get(name, PINNED).captions:
            raise ConfigError(
                f"evaluate.data.{name}.captions: the condition 'caption' needs a file of them: perception-r1 captions "
                f"{name} FILE --endpoint NAME writes one; or leave it out of evaluate.conditions"
            )
    for name, data in settings.data.items():
        if (dataset := BENCHMARKS[name].DATA) and data.path:
            files(dataset, data)
        store.whole(data.facts, "table") if stored(data.facts) else annotated(data.facts)
        captions_of(data.captions)


def _flow_run() -> dict[str, str]:
    """The Prefect run that this is, if it is one."""
    if not with_prefect():
        return {}
    from prefect.runtime import flow_run

    return {"flow_run": str(flow_run.id), "flow_run_name": str(flow_run.name)} if flow_run.id else {}
