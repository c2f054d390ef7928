"""The commands that do the work: one for each stage, and `run` for all of them."""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from flows.compare_commands import with_paper
from flows.processes import RUN, ServicesError, end, stray_servers
from flows.screen import print_json
from flows.services import HOME, server_url

STAGES = {
    "annotate": "Distil a teacher's right solutions into visual annotations.",
    "validate": "Try the judge on responses with known verdicts, before anything is trained on its word.",
    "train": "Train every arm and seed with GRPO.",
    "evaluate": "Ask every model the held-out questions, and grade the responses.",
    "compare": "Test the models against each other, paired.",
    "report": "Write the page with the answer.",
    "run": "All stages, from problems to the page.",
}
PAGE = Path("report.html")
INTERRUPTED = "perception-r1: interrupted; what is finished is kept, and the same command goes on"


def _command(stage: str, says: str) -> click.Command:
    """The command of one stage. What it stands on is found in the store, or made first."""

    @click.command(stage, help=f"{says} What it stands on is found in the store, or made first.")
    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        default="configs/embedded.toml",
        show_default=True,
        help="The configuration.",
    )
    @click.option("--profile", default="", help="A profile of the configuration: quick, full, ...")
    @click.option("--set", "overrides", multiple=True, metavar="STAGE.FIELD=VALUE", help="Override one value.")
    @click.option("--force", is_flag=True, help="Do it again though its result is there.")
    @click.option(
        "--accept-judge", metavar="REASON", default="", help="Train on a judge that failed its gates, and why."
    )
    @click.option("--strict", is_flag=True, help="A row of the data set that cannot be used ends the run.")
    @click.option("--no-prefect", is_flag=True, help="Without Prefect: the same stages as plain Python.")
    @click.option("--json", "as_json", is_flag=True, help="Print the artifacts that were made or found as JSON.")
    @_options_of(stage)
    @click.pass_obj
    def command(
        store: Path | None,
        config: Path,
        profile: str,
        overrides: tuple[str, ...],
        force: bool,
        accept_judge: str,
        strict: bool,
        no_prefect: bool,
        as_json: bool,
        dry_run: bool = False,
    ) -> None:
        from perception_r1.config import load

        if accept_judge:
            overrides = (*overrides, f"validate.accept={json.dumps(accept_judge, ensure_ascii=False)}")
        overrides += ("annotate.problems.strict=true",) * strict
        loaded = load(config, profile, overrides)  # what is wrong with it is said before anything heavy is imported
        if dry_run:
            from perception_r1.train.dry_run import checked

            checked(loaded, click.echo)
            return
        _check_needs(loaded, stage, store)
        _prepare(no_prefect)
        made = _run(stage, str(config), profile, overrides, str(store or ""), force)
        _show(stage, made, store, as_json)

    return command


def _options_of(stage: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that only one stage has."""
    if stage != "train":
        return lambda command: command
    says = "Try the configuration on a tiny model, without a GPU, and say what the real run needs."
    return click.option("--dry-run", is_flag=True, help=says)


def _commands() -> Iterator[click.Command]:
    for stage, says in STAGES.items():
        yield with_paper(_command(stage, says)) if stage == "compare" else _command(stage, says)


STAGE_COMMANDS = tuple(_commands())


def _check_needs(config: Any, stage: str, store: Path | None) -> None:
    """Says what is missing, a key or a file, before a Prefect server is started, which takes up to a minute."""
    from flows.opening import check_needs
    from storage import open_store

    check_needs(config, stage, open_store(store))


def _run(stage: str, *parameters: Any) -> Any:
    """What the stage's flow returns. Ctrl-C ends it at once: what is finished is in the store, whole."""
    signal.signal(signal.SIGINT, _interrupted)
    try:
        return _flow(stage)(*parameters)
    except RuntimeError as error:
        if "Failed to reach API" in str(error):
            raise ServicesError(
                f"Prefect's server at {os.environ.get('PREFECT_API_URL')} does not answer; start it, unset "
                "PREFECT_API_URL, or run with --no-prefect"
            ) from error
        if "ephemeral" not in str(error):
            raise
        raise ServicesError(
            f"Prefect's own server did not start in {PREFECT['PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS']} s; "
            "run with --no-prefect, or start one with perception-r1 up"
        ) from error


def _interrupted(*_: Any) -> None:
    """Ends the children and this process: threads that wait for a lock, or for a server that is gone, would not."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the cursor, which a bar hides
    click.echo(f"{shown}\n{INTERRUPTED}", err=True)
    os._exit(1)


def _flow(stage: str) -> Callable[..., Any]:
    name = "reproduce" if stage == "run" else stage
    found: Callable[..., Any] = getattr(importlib.import_module(f"flows.{name}"), name)
    return found


def _prepare(no_prefect: bool) -> None:
    """Decides, before a flow is imported, how it runs: without Prefect, on the server of `up`, or on its own."""
    from tasks.pages import SWITCH

    if no_prefect:
        os.environ[SWITCH] = "off"
        return
    if (url := server_url()) and "PREFECT_API_URL" not in os.environ:
        os.environ["PREFECT_API_URL"] = f"{url}/api"
    for name, value in PREFECT.items():
        os.environ.setdefault(name, value)
    os.environ[RUN] = str(os.getpid())
    for server in stray_servers(HOME.absolute()):
        end(server)


PREFECT = {
    "PREFECT_HOME": str(HOME.absolute()),
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a fresh one takes 19 to 24 s, the default ends at 20
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # what fails is said once, by the command line
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}


def _show(stage: str, made: Any, store: Path | None, as_json: bool) -> None:
    """What came of it: the answer, or the artifacts."""
    artifacts = _artifacts(made)
    answer = _answer(artifacts[0], store) if stage in ("run", "report") else ""
    if as_json:
        print_json([artifact.record() | {"version": artifact.version} for artifact in artifacts])
    elif answer:
        click.echo(answer)
    else:
        for artifact in artifacts:
            click.echo(artifact.version)


def _answer(report: Any, store: Path | None) -> str:
    """What the report says, and where its page was laid out."""
    import storage
    from tasks.report import PAGE as PAGE_NAME  # with it comes scipy: no other stage waits for that
    from tasks.report import TEXT

    folder = storage.open_store(store).get(report)
    page = _laid_out(folder / PAGE_NAME)
    said = (folder / TEXT).read_text()
    return f"{said}\nThe page: {page}    its artifact: {report.version}    all: perception-r1 artifacts"


def _laid_out(page: Path) -> Path:
    """Where the page is to be looked at: in this folder, or where it is stored if nothing can be written here."""
    partial = PAGE.with_suffix(f".{os.getpid()}.tmp")
    try:
        partial.write_bytes(page.read_bytes())
        partial.replace(PAGE)
    except OSError:
        return page
    return PAGE


def _artifacts(made: Any) -> list[Any]:
    """The artifacts in what a flow returns."""
    from storage import Artifact, Run

    if isinstance(made, Artifact):
        return [made]
    if isinstance(made, Run):
        return list(made.outputs.values())
    return [artifact for each in made for artifact in _artifacts(getattr(each, "checkpoint", each))]
