"""The whole graph, really run: quick, without Prefect, killed and gone on with, and under Prefect."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import storage
from perception_r1.records import Prediction
from perception_r1.table import schema_of
from perception_r1.world.server import serving

ROOT = Path(__file__).resolve().parent.parent
QUICK = ["run", "--config", str(ROOT / "configs" / "embedded.toml"), "--profile", "quick"]
# smaller still than quick: these tests are about the graph, not about the numbers
SMALLER = [
    word
    for override in (
        "train.warm_start_steps=3",
        "train.steps=2",
        "train.save_every=1",
        "train.watch.every=1",
        "train.watch.problems=4",
        "evaluate.items=12",
        "annotate.problems.count=24",
        "validate.problems=4",
    )
    for word in ("--set", override)
]
KINDS = {
    "annotations", "checkpoint", "comparison", "funnel", "gains", "gold_verdicts", "judge_report", "looks", "overlaps",
    "predictions", "problems", "refusals", "report", "rollouts", "scores", "spread", "statements",
    "trajectories", "usage",
}  # fmt: skip


def perception_r1(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PERCEPTION"))}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "flows", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    )


def digests(folder: Path) -> dict[str, str]:
    """The content of every artifact but the page, which names the time."""
    store = storage.open_store(folder / ".perception-r1")
    return {v.version: v.digest for v in storage.artifacts(store) if v.kind not in ("report",)}


def finished(folder: Path) -> set[str]:
    """The runs on record: a stage that is done again has one more."""
    return {path.name for path in (folder / ".perception-r1" / "runs").iterdir()}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    for stage in ("compare", "run"):  # a late stage alone first: it makes all that it stands on
        run = perception_r1(folder, stage, *QUICK[1:], *SMALLER, "--no-prefect")
        out, err = run.communicate()
        assert run.returncode == 0, err[-3000:]
    assert "MEANINGLESS" in out
    return folder


@pytest.mark.timeout(300)
def test_the_whole_graph_runs_and_every_artifact_is_there(done: Path) -> None:
    store = storage.open_store(done / ".perception-r1")
    assert {version.kind for version in storage.artifacts(store)} == KINDS
    assert storage.verify(store) == []
    page = (done / "report.html").read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://arxiv.org", "")


def test_a_second_run_finds_everything(done: Path) -> None:
    before, runs = digests(done), finished(done)
    run = perception_r1(done, *QUICK, *SMALLER, "--no-prefect", "--json")
    out, err = run.communicate()
    assert run.returncode == 0, err
    assert json.loads(out)[0]["kind"] == "report"
    assert (digests(done), finished(done)) == (before, runs)


@pytest.mark.timeout(300)
def test_newer_artifacts_of_another_configuration_are_not_taken(done: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(done, tmp_path / "copy")
    run = perception_r1(folder, "annotate", *QUICK[1:], *SMALLER, "--set", "annotate.problems.count=30", "--no-prefect")
    _, err = run.communicate()
    assert run.returncode == 0, err[-3000:]
    before = finished(folder)
    run = perception_r1(folder, *QUICK, *SMALLER, "--no-prefect")
    _, err = run.communicate()
    assert run.returncode == 0, err[-3000:]
    assert finished(folder) == before


def test_annotations_come_from_the_teacher_and_not_from_the_truth(done: Path) -> None:
    store = storage.open_store(done / ".perception-r1")
    made = store.latest("annotations", "embedded")
    assert {parent.version.partition("/")[0] for parent in made.parents} == {
        "problems",
        "refusals",
        "statements",
        "trajectories",
    }
    dropped = storage.sql("SELECT count(*) FROM trajectories WHERE dropped <> ''", store).fetchall()[0][0]
    assert dropped > 0, "the teacher never erred, so the filter had no work"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_any_moment_ends_in_the_same_artifacts(done: Path, tmp_path: Path) -> None:
    work, chance = tmp_path / ".perception-r1" / "work", random.Random()
    for under_way in ("*/progress.json", "*/checkpoints/checkpoint-1/whole"):  # the warm start; an arm's training
        run = perception_r1(tmp_path, *QUICK, *SMALLER, "--no-prefect")
        while not list(work.glob(under_way)) and run.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1))
        os.kill(run.pid, signal.SIGKILL)
        assert run.communicate() is not None and run.returncode == -signal.SIGKILL
    run = perception_r1(tmp_path, *QUICK, *SMALLER, "--no-prefect")
    _, err = run.communicate()
    assert run.returncode == 0, err[-3000:]
    assert digests(tmp_path) == digests(done)


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_an_evaluation_that_is_killed_asks_again_only_what_has_no_file_yet(done: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(done, tmp_path / "copy")
    before = digests(folder).keys()
    more = ["--set", "evaluate.items=100", "--set", "train.at_once=1"]
    words = ["evaluate", *QUICK[1:], *SMALLER, *more, "--no-prefect"]
    run = perception_r1(folder, *words)
    there: list[Path] = []
    while not there and run.poll() is None:
        time.sleep(0.01)
        there = list((folder / ".perception-r1" / "work").glob("*/predictions/*.parquet"))
    os.kill(run.pid, signal.SIGKILL)
    assert run.communicate() is not None and run.returncode == -signal.SIGKILL
    (kept,) = {path.parent for path in there}
    time.sleep(1)  # its child ends with it
    for path in kept.glob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        pq.write_table(pa.Table.from_pylist([row | {"response": "kept"} for row in rows], schema_of(Prediction)), path)
    marked = len(list(kept.glob("*.parquet")))
    run = perception_r1(folder, *words)
    _, err = run.communicate()
    assert run.returncode == 0, err[-3000:]
    store = storage.open_store(folder / ".perception-r1")
    new = [version for version in digests(folder).keys() - before if version.startswith("predictions/")]
    rows = [row for version in new for row in store.get(store.at(version)).to_pylist()]
    shards = {(row["model"], row["condition"]): row["response"] == "kept" for row in rows}
    assert sum(shards.values()) == marked and len(shards) > marked


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_under_prefect_the_same_artifacts_are_found(done: Path) -> None:
    before, runs = digests(done), finished(done)
    run = perception_r1(done, *QUICK, *SMALLER)
    _, err = run.communicate()
    assert run.returncode == 0, err[-3000:]
    assert (digests(done), finished(done)) == (before, runs)


def test_a_failed_stage_names_itself_its_cause_and_the_way_on(done: Path) -> None:
    words = [*QUICK, *SMALLER, "--set", "validate.max_false_credit=0.001", "--no-prefect"]
    run = perception_r1(done, *words)
    _, err = run.communicate()
    assert run.returncode == 1
    assert "validate failed" in err
    assert "Go on with: perception-r1 run --config" in err
    assert "Traceback" not in err


def test_a_stage_whose_model_is_away_fails_and_is_done_when_the_model_is_back(tmp_path: Path) -> None:
    """Nothing was said, so nothing may be stored: it would be found again though the address answers."""
    with serving() as server:
        url, port = server.url, server.server_address[1]
    teacher = ["model=embedded/teacher", f"base_url={url}", "retries=0"]
    sets = [word for said in teacher for word in ("--set", f"endpoints.teacher.{said}")]
    words = ["annotate", *QUICK[1:], *SMALLER, *sets, "--no-prefect"]
    _, err = (run := perception_r1(tmp_path, *words)).communicate()
    assert run.returncode == 1
    assert f"annotate failed: embedded/teacher at {url} cannot be reached" in err
    with serving(port=port):
        out, err = (run := perception_r1(tmp_path, *words)).communicate()
    assert run.returncode == 0, err
    assert "annotations/embedded@1" in out
