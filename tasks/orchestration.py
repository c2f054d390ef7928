"""Where the workflow meets Prefect, or does without it.

`flow` and `task` are Prefect's own, or nothing at all where the environment says PERCEPTION_R1_PREFECT=off, as
`perception-r1 run --no-prefect` does before it imports a flow: the stages are plain Python. Everything else here tells
a person what failed and how to go on.
"""

import contextvars
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

from perception_r1.child import end_children
from perception_r1.errors import ConfigError, StageFailed
from perception_r1.sections import Arm
from tasks.job import Job
from tasks.pages import publish_markdown, with_prefect
from tasks.progress import say

P = ParamSpec("P")
R = TypeVar("R")

NEWLINE = "\n"
HEARD_S = 0.5  # who waits without end hears no Ctrl-C that came just before, or to another thread
ROWS, CELL = 10, 200  # of what a failed stage is about: rows, and characters of a value
SETTINGS = {"persist_result": False, "log_prints": False}  # the store is the only cache: two caches are two truths


def flow(function: Callable[P, R]) -> Callable[P, R]:
    """The function as a Prefect flow of its name."""
    if not with_prefect():
        return function
    import prefect

    made: Any = prefect.flow(name=function.__name__.replace("_", "-"), validate_parameters=False, **SETTINGS)  # type: ignore[call-overload, unused-ignore]
    return made(function)  # type: ignore[no-any-return]


def task(function: Callable[..., R]) -> Callable[..., R]:
    """The function as a Prefect task whose first argument is the job; a failure says how to go on."""
    stage = function.__module__.rpartition(".")[2]

    @functools.wraps(function)
    def told(job: Job, *rest: Any) -> R:
        title = title_of(stage, rest)
        try:
            return function(job, *rest)
        except StageFailed:
            raise
        except Exception as error:  # every cause is brought home under the name of its stage
            publish_failure(job.command, title, error)
            if isinstance(error, ConfigError):
                raise
            raise StageFailed(title, error, job.command) from error

    if not with_prefect():
        return told
    import prefect
    from prefect.cache_policies import NO_CACHE

    def run_name() -> str:
        from prefect.runtime import task_run

        return title_of(stage, task_run.parameters.values())

    made: Any = prefect.task(name=function.__name__, task_run_name=run_name, cache_policy=NO_CACHE, **SETTINGS)  # type: ignore[call-overload, unused-ignore]
    return made(told)  # type: ignore[no-any-return]


def title_of(stage: str, given: Iterable[Any]) -> str:
    """The stage with what tells its runs apart: an arm, a seed, a benchmark."""
    names = (part.name if isinstance(part, Arm) else part for part in given)
    return " ".join([stage, *(str(name) for name in names if isinstance(name, str | int))])


@contextmanager
def crew(at_once: int) -> Iterator[Callable[..., Future[Any]]]:
    """Gives a `submit` for calls that run side by side, first come first served.

    When one fails, what is under way is finished, since its work is kept, and what waits is not begun; the first
    failure is raised. Ctrl-C ends the children too.
    """
    pool, called, failures = ThreadPoolExecutor(at_once), list[Future[Any]](), list[Exception]()

    def run(function: Callable[..., R], *given: Any) -> R:
        try:
            return function(*given)
        except Exception as error:
            if any(error is known for known in failures):
                raise  # of what it waits for, which has been told
            failures.append(error)
            pool.shutdown(wait=False, cancel_futures=True)
            say(f"{str(error).partition(NEWLINE)[0]}; what is under way is finished first")
            raise

    def submit(function: Callable[..., R], *given: Any) -> Future[Any]:
        called.append(pool.submit(contextvars.copy_context().run, run, function, *given))
        return called[-1]

    try:
        yield submit
        while not all(future.done() for future in called):
            wait(called, timeout=HEARD_S)
        pool.shutdown()
    except RuntimeError:  # something failed before everything was submitted
        if not failures:
            raise
        pool.shutdown()
    except BaseException:
        end_children()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    if failures:
        raise failures[0]


def publish_failure(command: str, title: str, error: Exception) -> None:
    """Shows the failure on the page of the running Prefect run; a server that is gone does not take its place."""
    with suppress(Exception):
        publish_markdown("failure", failure_page(command, title, error))


def failure_page(command: str, title: str, error: Exception) -> str:
    """What a person needs to know about a failed stage."""
    cause, _, rest = str(error).partition(NEWLINE)
    shown = f"\n\n```\n{rest}\n```" if rest else ""
    return (
        f"# {title} failed\n\n**Cause**: {cause or type(error).__name__}{_rows(getattr(error, 'rows', ()))}{shown}\n\n"
        f"**Go on with**: `{command}`\n"
    )


def _rows(rows: Sequence[Mapping[str, object]]) -> str:
    """The first rows that an error is about, as a table."""
    if not rows:
        return ""
    lines: list[list[object]] = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows[:ROWS])]
    more = f"\n\nand {len(rows) - ROWS} more" if len(rows) > ROWS else ""
    return "\n\n" + "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines) + more


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")[:CELL]
