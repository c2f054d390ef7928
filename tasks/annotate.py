"""Problems in; trajectories and clean annotations out, with the funnel between them."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from perception_r1.annotate.assembly import from_given, from_trajectories
from perception_r1.annotate.extract import Extracted
from perception_r1.annotate.funnel import Step, Tally
from perception_r1.annotate.page import page
from perception_r1.annotate.problems import Given
from perception_r1.annotate.quality import form_truth, quality
from perception_r1.annotate.quality import measured as compared
from perception_r1.annotate.usage import Usage, beside_the_paper
from perception_r1.records import Annotation, Trajectory
from perception_r1.sections import identity
from perception_r1.table import records_of, table_of
from storage import Artifact, Run, Store, stage
from tasks.annotate_models import read_statements, tables, take_responses, teach, used
from tasks.annotate_problems import Stored, read_problems
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import inside_run, publish_markdown, publish_table
from tasks.progress import say, watching

ROLES = ("teacher", "extractor")
RULES = ("origin", "min_support", "min_share", "drop_stated", "drop_deductions", "drop_contradictions")


@task
def annotate(job: Job) -> Run:
    """The finished run; its outputs are trajectories and annotations of the problems, and the funnel."""
    read = read_problems(job)
    models = _asked(job, read) if job.config.annotate.origin in ("teacher", "responses") else []
    run = _cleaned(job, read, models)
    said = {f"trajectories/{job.name()}": models[0][f"trajectories/{job.name()}"]} if models else {}
    said |= {name: each for name, each in read.outputs.items() if each.kind == "given"}
    run = replace(run, outputs=dict(sorted((run.outputs | said).items())))
    _tell_cost(job, models, read[f"problems/{job.name()}"].rows or 0)
    if inside_run():
        publish_table("annotate", ["step", "count"], counted(job, run), "From problems to clean annotations")
        publish_markdown("annotations", _page(job, read, run, models))
    return run


def _asked(job: Job, read: Run) -> list[Run]:
    """What the models were asked: for trajectories, where the data set has none, and for their statements."""
    taught = teach(job, read) if job.config.annotate.origin == "teacher" else take_responses(job, read)
    return [taught, read_statements(job, read, taught)]


def _cleaned(job: Job, read: Run, models: list[Run]) -> Run:
    """Hygiene, and nothing that costs."""
    name, settings = job.name(), job.config.annotate
    inputs = [read[f"problems/{name}"], read[f"refusals/{name}"]]
    inputs += (
        [models[0][f"trajectories/{name}"], models[1][f"statements/{name}"]] if models else [read[f"given/{name}"]]
    )
    config = {rule: getattr(settings, rule) for rule in RULES}
    config["extractor"] = identity(job.endpoint(settings.extractor)) if models else {}

    def body(work: Any) -> dict[str, Any]:
        tally = Tally()
        for row in job.store.get(inputs[1]).to_pylist():
            tally.refuse(row["reason"])
        facts = _facts(job, Stored(job.store, inputs[0], pictures=False), inputs[2:], tally, watch)
        made = {f"annotations/{name}": tables(facts, Annotation), f"funnel/{name}": _steps(tally)}
        return made if models else made | {f"trajectories/{name}": table_of([], Trajectory)}

    with watching("annotate: hygiene") as watch:
        return stage(job.store, "annotate", inputs, config, body, force=job.forced("annotate"))


def _facts(job: Job, problems: Stored, inputs: list[Artifact], tally: Tally, watch: Any) -> Iterator[Annotation]:
    """The annotations of one problem after another; counted as they come by."""
    settings, origin = job.config.annotate, _origin(job)
    assembled: Any
    assembled, records = (from_trajectories, (Trajectory, Extracted)) if len(inputs) == 2 else (from_given, (Given,))
    streams = [InTurn(job.store, each, record) for each, record in zip(inputs, records, strict=True)]
    for number, problem in enumerate(problems):
        tally.problems += 1
        parts = [stream.of(problem.id) for stream in streams]
        yield from assembled(problem, *parts, settings=settings, origin=origin, tally=tally)
        watch(number + 1, len(problems))


def _origin(job: Job) -> str:
    """What the annotations come from, as it is stored with each."""
    settings = job.config.annotate
    if settings.origin in ("teacher", "responses"):
        return job.endpoint(settings.extractor).model
    return {"logic_forms": "logic_form", "annotations": settings.problems.columns.annotations}[settings.origin]


def _steps(tally: Tally) -> Iterator[Any]:
    """The funnel, once everything is counted."""
    yield table_of([Step(step, count) for step, count in tally.steps()], Step)


class InTurn:
    """The records of an artifact that lie in the order of the problems, one problem's at a time."""

    def __init__(self, store: Store, artifact: Artifact, record: type) -> None:
        rows = (row for batch in store.stream(artifact) for row in batch.to_pylist())
        self._records = (record(**row) for row in rows)
        self._next: Any = next(self._records, None)

    def of(self, problem: str) -> list[Any]:
        """All of one problem."""
        found = []
        while self._next is not None and self._next.problem == problem:
            found.append(self._next)
            self._next = next(self._records, None)
        return found


def counted(job: Job, run: Run) -> list[tuple[str, int]]:
    """The steps from problems to problems with annotations, counted."""
    return [(row["step"], row["count"]) for row in job.store.get(run[f"funnel/{job.name()}"]).to_pylist()]


def measured(job: Job, run: Run) -> dict[str, Any] | None:
    """How good the annotations are, where the truth is known: the embedded world, or a data set with logic forms."""
    settings = job.config.annotate
    facts = records_of(job.store.get(run[f"annotations/{job.name()}"]).to_pylist(), Annotation)
    if settings.problems.source == "world":
        return asdict(quality(settings.problems, facts))
    given = run.outputs.get(f"given/{job.name()}")
    truth = form_truth(Given(**row) for row in job.store.get(given).to_pylist()) if given else {}
    return asdict(compared(truth, facts)) if truth and settings.origin != "logic_forms" else None


def _cost(job: Job, models: list[Run]) -> list[Usage]:
    return [one for each, role in zip(models, ROLES, strict=False) for one in used(job, each, role)]


def _tell_cost(job: Job, models: list[Run], problems: int) -> None:
    """Says what was paid, beside what the paper paid; nothing where it was paid before."""
    if not models or all(run.reused for run in models):
        return
    for one in (cost := _cost(job, models)):
        asked = f"{one.requests:,} requests, {one.failures:,} failed"
        say(f"  {one.role}: {asked}, {one.tokens:,} tokens, {one.usd:,.2f} USD")
    say(f"  {beside_the_paper(cost, problems)}")


def _page(job: Job, read: Run, run: Run, models: list[Run]) -> str:
    """The funnel, the cost, and examples with their pictures."""
    facts = records_of(job.store.get(run[f"annotations/{job.name()}"]).to_pylist(), Annotation)
    problems = Stored(job.store, read[f"problems/{job.name()}"], pictures=True)
    return page(counted(job, run), _cost(job, models), problems, len(problems), facts, measured(job, run))
