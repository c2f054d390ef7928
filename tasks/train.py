"""Annotated problems and a base model in; a checkpoint and every rollout out, for one arm and one seed."""

from dataclasses import dataclass
from typing import Any

from perception_r1.child import run_child
from perception_r1.models import write_pointer
from perception_r1.sections import Arm, identity
from perception_r1.train import launch, ledger, look
from perception_r1.train.spec import RunSpec
from storage import Artifact, Run, sql, stage
from tasks.job import Job
from tasks.orchestration import task
from tasks.pages import publish_table
from tasks.progress import say, watching
from tasks.validate import accepted, chosen_judge


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint, what the predictions call it, and the rollouts that it was trained on."""

    name: str  # of the arm, or "base"
    seed: int
    checkpoint: Artifact
    rollouts: Artifact | None = None  # None before training
    looks: Artifact | None = None  # at held-out problems while it trained


@task
def base(job: Job, seed: int) -> Model:
    """The model that every arm of a seed starts from: the tiny one, warm-started, or a name on the hub."""
    train = job.config.train
    name = f"checkpoint/{job.name('base', f'seed{seed}')}"
    config: dict[str, Any] = {"model": train.model, "revision": train.revision}
    if train.model == "world":
        config |= {"steps": train.warm_start_steps, "seed": seed}

    def body(work: Any) -> dict[str, Any]:
        if train.model != "world":
            return {name: write_pointer(work.path / "model", train.model, train.revision)}
        spec = {"folder": str(work.path), "seed": seed, "steps": train.warm_start_steps}
        run_child("perception_r1.world", spec, work.path, **job.around(work), watch=watch)
        return {name: work.path / "model"}

    with watching(f"warm start, seed {seed}") as watch:
        made = stage(job.store, "base", [], config, body, code=["perception_r1.world.__main__"])[name]
    return Model("base", seed, made)


@task
def train(job: Job, arm: Arm, seed: int, annotations: Artifact, start: Artifact, judged: Run) -> Model:
    """The model of one arm and one seed."""
    name = job.name(arm.name, f"seed{seed}")
    problems = job.origin(annotations, "problems")
    perceives = arm.weights.get("perception") or arm.gate or job.config.train.watch.every
    asked, judging = chosen_judge(job, judged)
    judge = asked if perceives else None
    settings = {key: value for key, value in identity(job.config.train).items() if key not in OTHERS}
    config = settings | {"weights": arm.weights, "answer_types": list(arm.answer_types), "seed": seed}
    config |= {"gate": bool(arm.gate), "kl_schedule": identity(arm.kl) if arm.kl else None}
    if judge:
        config |= {"judge": identity(judge), "judging": identity(judging), **accepted(job, judged)}

    def body(work: Any) -> dict[str, Any]:
        spec = RunSpec(
            folder=work.path,
            base=job.store.get(start),
            problems=job.store.path(problems),
            annotations=job.store.path(annotations),
            weights=arm.weights,
            answer_types=arm.answer_types,
            seed=seed,
            train=job.config.train,
            judge=judge,
            judging=judging,
            verdicts=job.verdicts if judge and judge.base_url else None,  # a model in process is as fast as a look-up
            gate=bool(arm.gate),
            kl=arm.kl,
        )
        gpus = launch.gpus_of(job.config.train)
        module = "perception_r1.train" if job.config.train.processes == gpus == 1 else "perception_r1.train.launch"
        run_child(module, spec.as_json(), work.path, **job.around(work, gpus), watch=watch)
        made: dict[str, Any] = {f"checkpoint/{name}": spec.model, f"rollouts/{name}": ledger.read(spec.rollouts)}
        made |= {f"looks/{name}": look.table(spec.looks)} if job.config.train.watch.every else {}
        return made | ({f"checkpoint/{name}-best": spec.best} if spec.best.exists() else {})

    with watching(f"train {arm.name}, seed {seed}") as watch:
        code = ["perception_r1.train.__main__", "perception_r1.train.launch"]
        run = stage(
            job.store, "train", [problems, annotations, start], config, body, code=code, force=job.forced("train")
        )
    rollouts = run[f"rollouts/{name}"]
    publish_table(f"train {name}", *_curve(job, rollouts))
    looks = run.outputs.get(f"looks/{name}")
    if looks:
        tell_alarms(job, name, looks)
    return Model(arm.name, seed, run[f"checkpoint/{name}"], rollouts, looks)


def tell_alarms(job: Job, name: str, looks: Artifact) -> None:
    """Says what was suspicious in the terminal, and on the page of the training task."""
    if alarms := alarms_of(job, looks):
        step, last = alarms[-1]
        say(f"train {name}: {len(alarms)} x ALARM, the last after step {step}: {last}")
        publish_table(f"alarms {name}", ("step", "alarm"), alarms, "What was suspicious while it trained")


def alarms_of(job: Job, looks: Artifact) -> list[tuple[int, str]]:
    """What the looks at held-out problems found suspicious, with the steps."""
    return [(row["step"], says) for row in job.store.get(looks).to_pylist() for says in row["alarms"].splitlines()]


OTHERS = ("model", "revision", "warm_start_steps", "arms", "seeds")  # what other runs of the stage are, and the base


def _curve(job: Job, rollouts: Artifact) -> Any:
    """The rewards over the steps, in ten rows, with what the table says."""
    terms = ", ".join(f"round(avg({term}), 3) AS {term}" for term in ledger.TERMS)
    found = sql(
        f"WITH made AS (SELECT * FROM rollouts WHERE _version = '{rollouts.version}') "
        f"SELECT min(step) AS step, {terms} FROM made "
        "GROUP BY step // (1 + (SELECT max(step) FROM made) // 10) ORDER BY step",
        job.store,
    )
    return list(found.columns), found.fetchall(), "Mean rewards over the steps"
