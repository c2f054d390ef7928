"""The gate from the command line: a weak judge is refused, accepted only with a reason, and watched for drift."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import storage

ROOT = Path(__file__).resolve().parent.parent
QUICK = ["--config", str(ROOT / "configs/embedded.toml"), "--profile", "quick", "--no-prefect"]
SMALLER = [
    word
    for override in (
        "annotate.problems.count=24",
        "validate.problems=8",
        "train.warm_start_steps=2",
        "train.steps=1",
        'train.arms=[{name = "perception_r1", recipe = "perception_r1"}]',
        'compare.contrasts=[["base", "perception_r1"]]',
    )
    for word in ("--set", override)
]
WEAK = ["--set", "endpoints.judge.model=embedded/weak-judge"]
REASON = 'a test: "it is weak", and so be it'
DRIFT = """
from flows.drift import judge_drift
made = judge_drift({config!r}, "quick", {overrides!r}, "")
print(made.version)
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PERCEPTION_R1_PREFECT": "off", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_weak_judge_is_refused_accepted_with_a_reason_and_its_drift_is_told(tmp_path: Path) -> None:
    refused = run(tmp_path, "-m", "flows", "train", *QUICK, *SMALLER, *WEAK)
    assert refused.returncode == 1
    assert "the judge is not good enough to train with: false_credit" in refused.stderr
    assert '--accept-judge "REASON"' in refused.stderr
    store = storage.open_store(tmp_path / ".perception-r1")
    assert "checkpoint" not in {v.kind for v in storage.artifacts(store)}, "nothing was trained"

    accepted = run(tmp_path, "-m", "flows", "train", *QUICK, *SMALLER, *WEAK, "--accept-judge", REASON)
    assert accepted.returncode == 0, accepted.stderr[-2000:]
    (made,) = [
        v for v in storage.artifacts(store) if v.name == "embedded-perception_r1-seed0" and v.kind == "checkpoint"
    ]
    assert made.config["accepted_judge"]["reason"] == REASON
    assert set(made.config["accepted_judge"]["failed"]) >= {"false_credit", "worst_slice", "probe"}

    judged = run(tmp_path, "-m", "flows", "validate", *QUICK, *SMALLER)
    assert judged.returncode == 0, judged.stderr[-2000:]
    assert "Gates" in judged.stderr and "specificity" in judged.stderr
    overrides = tuple(word for word in SMALLER if word != "--set")
    code = DRIFT.format(config=QUICK[1], overrides=overrides)
    assert run(tmp_path, "-c", code).stdout.strip() == "drift/embedded@1"
    moved = run(tmp_path, "-c", DRIFT.format(config=QUICK[1], overrides=(*overrides, WEAK[1])))
    assert moved.returncode == 1
    assert "the judge has moved" in moved.stderr
    assert " --force" in moved.stderr.partition("Go on with")[2], "its old report would be found"
    (row,) = storage.sql("SELECT alarm FROM drift WHERE _version = 'drift/embedded@2'", store).fetchall()
    assert "anchors have another verdict now" in row[0]


def test_the_reason_survives_any_words() -> None:
    import tomllib

    for reason in (REASON, "größer – \\ 🤷", "it's"):
        assert tomllib.loads(f"x = {json.dumps(reason, ensure_ascii=False)}") == {"x": reason}
