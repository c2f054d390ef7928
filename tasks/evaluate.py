"""A checkpoint, or an address, and a benchmark in; graded predictions out, and the scores of all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.child import run_child
from perception_r1.evaluate.contamination import Known, Overlap, overlaps
from perception_r1.evaluate.gains import Gain
from perception_r1.evaluate.perceived import stored
from perception_r1.evaluate.scores import Score, scored
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.records import Problem
from perception_r1.sections import PINNED, identity
from perception_r1.table import records_of, table_of
from storage import Artifact, Run, stage
from tasks.evaluate_data import files_identity, rows_identity
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_table
from tasks.progress import watching

CONDITIONS, SAMPLES = "-conditions", "-samples"  # the ends of further artifacts' names
SHARED = ("instruction", "min_pixels", "max_pixels", "bf16")  # evaluation asks as training does
OURS = ("benchmarks", "data", "conditions", "demonstrations", "endpoints", "extractor", "judge")
CODE = "perception_r1.evaluate.__main__"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a model said to a benchmark; None is what was not asked for."""

    benchmark: str
    predictions: Artifact  # greedy, of the untouched items
    conditions: Artifact | None  # greedy, of the others
    samples: Artifact | None  # further ones
    trained: bool  # by us: not a model behind an address

    @property
    def versions(self) -> list[Artifact]:
        """All that there is."""
        return [version for version in (self.predictions, self.conditions, self.samples) if version]


@task
def evaluate(job: Job, model: str, seed: int, checkpoint: Artifact | None, benchmark: str) -> Evaluated:
    """The predictions of a model on a benchmark; without a checkpoint it is the endpoint of that name that answers."""
    name = f"predictions/{job.name(model, f'seed{seed}', benchmark)}"
    config, facts = _config(job, model, seed, benchmark, checkpoint), _facts(job, benchmark)

    def body(work: Any) -> dict[str, Any]:
        spec = _spec(job, work.path, model, seed, checkpoint, benchmark)
        if facts:
            spec = replace(spec, data=replace(spec.data, facts=str(job.store.path(facts))))
        run_child(
            "perception_r1.evaluate",
            spec.as_json(),
            work.path,
            **job.around(work, gpus=1 if checkpoint else 0),
            watch=watch,
        )
        return {f"{name}{suffix}": map(pq.read_table, paths) for suffix, paths in _shards(spec.predictions) if paths}

    with watching(f"evaluate {model}, seed {seed} on {benchmark}") as watch:
        inputs = [version for version in (checkpoint, facts) if version]
        code = [CODE, f"perception_r1.benchmarks.{benchmark}"]
        run = stage(job.store, "evaluate", inputs, config, body, code=code, force=job.forced("evaluate"))
    conditions, samples = (run.outputs.get(f"{name}{suffix}") for suffix in (CONDITIONS, SAMPLES))
    return Evaluated(benchmark, run[name], conditions, samples, trained=checkpoint is not None)


def _facts(job: Job, benchmark: str) -> Artifact | None:
    """The annotations of the store that responses are read for, if the configuration names some."""
    name = job.config.evaluate.data.get(benchmark, PINNED).facts
    return job.store.whole(name, "table") if stored(name) else None


def _shards(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """The files of each artifact by the end of its name; a file's own name says condition and sample."""
    paths = sorted(folder.glob("*.parquet"))
    yield "", [path for path in paths if path.match("full-000-*")]
    yield CONDITIONS, [path for path in paths if path.match("*-000-*") and not path.match("full-*")]
    yield SAMPLES, [path for path in paths if not path.match("*-000-*")]


def _config(job: Job, model: str, seed: int, benchmark: str, checkpoint: Artifact | None) -> dict[str, Any]:
    """What decides the predictions."""
    settings = job.config.evaluate
    kept = {key: value for key, value in identity(settings).items() if key not in OURS}
    asked = {"model": model, "model_seed": seed, "benchmark": benchmark, "conditions": list(settings.conditions)}
    asked |= {key: getattr(job.config.train, key) for key in SHARED}
    asked |= {"data": rows_identity(settings, benchmark), **files_identity(settings, benchmark)}
    for helper in (settings.extractor, settings.judge):
        asked |= {f"asked {helper}": identity(job.endpoint(helper))} if helper else {}
    return kept | asked | ({} if checkpoint else {"endpoint": identity(job.endpoint(model))})


def _spec(job: Job, folder: Path, model: str, seed: int, checkpoint: Artifact | None, benchmark: str) -> EvalSpec:
    settings = job.config.evaluate
    endpoint = None if checkpoint else job.endpoint(model)
    keep = settings.cached and not job.forced("evaluate")
    return EvalSpec(
        folder=folder,
        weights=job.store.get(checkpoint) if checkpoint else None,
        endpoint=endpoint,
        digest=checkpoint.digest if checkpoint else f"{model} {endpoint and endpoint.model}",
        generator=settings.generate_with,
        model=model,
        seed=seed,
        benchmark=benchmark,
        data=settings.data.get(benchmark, PINNED),
        conditions=settings.conditions,
        items=settings.items,
        items_seed=settings.seed,
        batch=settings.batch,
        max_tokens=settings.max_tokens,
        samples=settings.samples,
        temperature=settings.temperature,
        extractor=job.endpoint(settings.extractor) if settings.extractor else None,
        judge=job.endpoint(settings.judge) if settings.judge else None,
        demonstrations=settings.demonstrations,
        cache=job.store.place.scratch / "cache" / "responses.sqlite" if keep else None,
        **{key: getattr(job.config.train, key) for key in SHARED},
    )


@task
def score(job: Job, annotated: Run, evaluated: Sequence[Evaluated]) -> Run:
    """The finished run; its outputs are the scores, what the pictures are worth, and what training has seen."""
    settings = job.config.evaluate
    problems = job.origin(annotated[f"annotations/{job.name()}"], "problems")
    inputs = [version for each in evaluated for version in each.versions]
    data = {name: rows_identity(settings, name) for name in settings.benchmarks}
    config = {"items": settings.items, "seed": settings.seed, "data": data}

    def body(work: Any) -> dict[str, Any]:
        known = Known(row for batch in job.store.stream(problems) for row in records_of(batch.to_pylist(), Problem))
        seen = {name: _overlaps(job, name, known) for name in settings.benchmarks}
        found = [_scored(job, each, {overlap.item for overlap in seen[each.benchmark]}) for each in evaluated]
        return {
            f"scores/{job.name()}": table_of([score for scores, _ in found for score in scores], Score),
            f"gains/{job.name()}": table_of([gain for _, gains in found for gain in gains], Gain),
            f"overlaps/{job.name()}": table_of([one for some in seen.values() for one in some], Overlap),
        }

    with watching("score"):
        code = [f"perception_r1.benchmarks.{name}" for name in settings.benchmarks]
        run = stage(job.store, "score", [problems, *inputs], config, body, code=code, force=job.forced("evaluate"))
    publish_table(
        "scores", *_headlines(job.store.get(run[f"scores/{job.name()}"]).to_pylist()), "Accuracy by condition"
    )
    return run


def _overlaps(job: Job, benchmark: str, known: Known) -> list[Overlap]:
    settings = job.config.evaluate
    items = BENCHMARKS[benchmark].items(settings.items, settings.seed, settings.data.get(benchmark, PINNED))
    return list(overlaps(benchmark, (item.problem for item in items), known))


def _scored(job: Job, each: Evaluated, trained_on: set[str]) -> tuple[list[Score], list[Gain]]:
    """The scores of one model; its predictions are all that is in memory."""
    rows = [row for version in each.versions for row in job.store.get(version).to_pylist()]
    return scored(rows, BENCHMARKS[each.benchmark], not job.config.evaluate.items, trained_on)


def _headlines(scores: Iterable[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    columns = ["model", "seed", "benchmark", "condition", "value", "low", "high", "n"]
    return columns, [[row[key] for key in columns] for row in scores if row["metric"] == "accuracy"]
