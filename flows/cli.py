"""The command line. Nothing heavy is imported before a command needs it: --help answers at once."""

import re
import sys
import traceback
from pathlib import Path

import click

from flows.compare_commands import COMPARE_COMMANDS
from flows.doctor import DOCTOR_COMMAND
from flows.evaluate_commands import EVALUATE_COMMANDS
from flows.review_commands import REVIEW_COMMANDS
from flows.service_commands import SERVICE_COMMANDS
from flows.stage_commands import INTERRUPTED, STAGE_COMMANDS
from flows.store_commands import STORE_COMMANDS

LOG = re.compile(r"; it ends:\n.*?(?=\nGo on with:|\Z)", re.DOTALL)  # of a child: shown with --debug, and in the UI
SECTIONS = {
    "The method": STAGE_COMMANDS,
    "This machine and its server": (DOCTOR_COMMAND, *SERVICE_COMMANDS),
    "The store": STORE_COMMANDS,
    "People": REVIEW_COMMANDS,
    "Benchmarks": EVALUATE_COMMANDS,
    "Statistics": COMPARE_COMMANDS,
}


class Sectioned(click.Group):
    """A group whose help lists the commands by what they are about, in our order."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one list for each section."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(command.name or "", command.get_short_help_str(80)) for command in commands])


@click.group(cls=Sectioned, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--store", type=click.Path(), help="The store's folder. [$PERCEPTION_R1_STORE or .perception-r1]")
@click.option("--debug", is_flag=True, help="Show the stack trace of an error.")
@click.version_option(package_name="perception-r1")
@click.pass_context
def cli(context: click.Context, store: str | None, debug: bool) -> None:
    """Did this training make the model see better, or only answer better?

    REF is kind/name for the latest version, kind/name@3 for a certain one, kind/name:tag for a tagged one.
    Exit codes: 0 done, 1 failed, 2 the command or its arguments cannot be right.
    """
    context.obj = Path(store) if store else None  # "" is a variable that was not set, and Path("") is this folder


for commands in SECTIONS.values():
    for command in commands:
        cli.add_command(command)


def main() -> None:
    """Runs the command line; an error is one line that names the thing and the remedy."""
    words = [word for word in sys.argv[1:] if word != "--debug"]  # it may stand anywhere
    try:
        sys.exit(cli.main(words, standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:  # what click makes of Ctrl-C
        click.echo(INTERRUPTED, err=True)
        sys.exit(1)
    except Exception as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        said = _said(error) if "--debug" in sys.argv else LOG.sub("", _said(error))
        click.echo(f"perception-r1: {said}", err=True)
        sys.exit(_exit_code(error))


def _said(error: Exception) -> str:
    """The message that was written for a person, or how to learn more about what nobody foresaw."""
    if _is_ours(error):
        return str(error)
    return f"{type(error).__name__}: {error}; to see where it comes from, add --debug"


def _is_ours(error: Exception) -> bool:
    """Whether the message was written for a person."""
    from flows.processes import ServicesError
    from perception_r1.errors import PerceptionError
    from storage import StoreError

    return isinstance(error, PerceptionError | StoreError | ServicesError)


def _exit_code(error: Exception) -> int:
    """2 where the command or its arguments cannot be right, else 1."""
    from flows.processes import ServicesError
    from perception_r1.errors import ConfigError
    from storage.errors import BadName, NotFound, Refused

    if isinstance(error, ServicesError):
        return error.exit_code
    return 2 if isinstance(error, BadName | NotFound | Refused | ConfigError) else 1
