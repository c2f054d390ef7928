"""A checkpoint and a benchmark in; graded predictions out."""

from typing import Any

import pyarrow.parquet as pq

from perception_r1.child import run_child
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.sections import identity
from storage import Artifact, sql, stage
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_table
from tasks.progress import watching


@task
def evaluate(job: Job, model: str, seed: int, checkpoint: Artifact, benchmark: str) -> Artifact:
    """The predictions of a model on a benchmark."""
    name, train = f"predictions/{job.name(model, f'seed{seed}', benchmark)}", job.config.train
    shared = {key: getattr(train, key) for key in ("instruction", "min_pixels", "max_pixels", "bf16")}
    settings = {key: value for key, value in identity(job.config.evaluate).items() if key != "benchmarks"}
    config = {**settings, **shared, "model": model, "model_seed": seed, "benchmark": benchmark}

    def body(work: Any) -> dict[str, Any]:
        spec = EvalSpec(
            folder=work.path,
            weights=job.store.get(checkpoint),
            model=model,
            seed=seed,
            benchmark=benchmark,
            items=settings["items"],
            items_seed=settings["seed"],
            batch=settings["batch"],
            max_tokens=settings["max_tokens"],
            **shared,
        )
        run_child("perception_r1.evaluate", spec.as_json(), work.path, **job.around(work), watch=watch)
        return {name: (pq.read_table(path) for path in sorted(spec.predictions.glob("*.parquet")))}

    with watching(f"evaluate {model}, seed {seed} on {benchmark}") as watch:
        code = ["perception_r1.evaluate.__main__", f"perception_r1.benchmarks.{benchmark}"]
        found = stage(job.store, "evaluate", [checkpoint], config, body, code=code, force=job.forced("evaluate"))[name]
    publish_table(name, *_scores(job, found))
    return found


def _scores(job: Job, predictions: Artifact) -> Any:
    """Right answers and right readings by sort of question, with what the table says."""
    found = sql(
        "SELECT stratum, count(*) AS items, round(avg(correct::int), 3) AS answer_right, "
        "round(avg(perceived::int), 3) AS all_facts_right, count(*) FILTER (status = 'abstained') AS abstained, "
        "count(*) FILTER (status = 'truncated') AS truncated FROM predictions "
        f"WHERE _version = '{predictions.version}' GROUP BY ROLLUP (stratum) ORDER BY stratum NULLS LAST",
        job.store,
    )
    return list(found.columns), found.fetchall(), "Shares of the items"
