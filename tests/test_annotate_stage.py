"""The stage as a user types it: other sources, other rules, other models, and what a killed run costs."""

import base64
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import storage
from perception_r1.world.server import Fault, serving

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = str(ROOT / "configs" / "embedded.toml")


def started(folder: Path, *words: str, sets: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    flags = [word for said in sets for word in ("--set", said)]
    command = [sys.executable, "-m", "flows", "annotate", "--config", EMBEDDED, "--no-prefect", *words, *flags]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment)


def annotated(folder: Path, *words: str, sets: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit code, and what was said."""
    run = started(folder, *words, sets=sets)
    out, err = run.communicate()
    return run.returncode, out + err


def rows(folder: Path, kind: str, name: str = "embedded") -> list[dict[str, Any]]:
    store = storage.open_store(folder / ".perception-r1")
    return list(store.get(f"{kind}/{name}").to_pylist())


def data(folder: Path) -> tuple[str, ...]:
    """Two geometry problems and a row that is none, as JSON lines; the overrides that read them."""
    image = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(image, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"
    forms = ["Equals(LengthOf(Line(A, B)), 12)", "Perpendicular(Line(C, D), Line(A, B))", "Foo(A)"]
    info = "<info1>AB is 12.</info1><info2>AB + CD = 20.</info2>"
    said = {"diagram_logic_form": forms, "visual_key_info": info, "response": "AB is 12. \\boxed{5}"}
    lines = [
        {"images": uri, "problem": "Find x.", "answer": "5", "id": "a", **said},
        {"images": uri, "problem": "AB is 12. Find y.", "answer": "2 \\sqrt { 221 }", "id": "b", **said},
        {"images": "nowhere.png", "problem": "Find z.", "answer": "5", "id": "c", **said},
    ]
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "annotate.problems.source=jsonl", f"annotate.problems.path='{path}'", "annotate.problems.count=0"


def test_logic_forms_are_annotations_without_any_model(tmp_path: Path) -> None:
    code, said = annotated(tmp_path, sets=(*data(tmp_path), "annotate.origin=logic_forms"))
    assert code == 0, said
    assert "1 rows refused, the first: data, row 2: image 0: there is no file 'nowhere.png'" in said
    facts = [(a["problem"], a["text"], a["dropped"], a["origin"]) for a in rows(tmp_path, "annotations")]
    assert facts == [
        ("a", "AB is 12.", "", "logic_form"),
        ("a", "CD is perpendicular to AB.", "", "logic_form"),
        ("b", "AB is 12.", "stated in the question", "logic_form"),
        ("b", "CD is perpendicular to AB.", "", "logic_form"),
    ]
    steps = {row["step"]: row["count"] for row in rows(tmp_path, "funnel")}
    assert (steps["rows"], steps["problems"], steps["annotations dropped: unknown logic form"]) == (3, 2, 2)
    assert rows(tmp_path, "trajectories") == []
    assert [row["problem"] for row in rows(tmp_path, "refusals")] == ["c"]
    code, said = annotated(tmp_path, "--strict", sets=(*data(tmp_path), "annotate.origin=logic_forms"))
    assert code == 1
    assert "annotate failed: data, row 2: image 0: there is no file" in said, "also where the lax run is found"


def test_a_finished_annotation_is_found_without_what_only_measuring_and_the_page_need(tmp_path: Path) -> None:
    sets = (*data(tmp_path), "annotate.origin=logic_forms")
    assert annotated(tmp_path, sets=sets)[0] == 0
    words = ["annotate", "--config", EMBEDDED, "--no-prefect", *(word for said in sets for word in ("--set", said))]
    program = (
        f"import sys; from flows.cli import cli; cli({words!r}, standalone_mode=False); print(sorted(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env=environment, check=True
    )
    assert "'storage'" in run.stdout
    assert not [name for name in ("scipy", "PIL", "datasets", "aiohttp") if f"'{name}'" in run.stdout]


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    sets = (*data(tmp_path), "annotate.origin=logic_forms")
    assert annotated(tmp_path, sets=sets)[0] == 0
    path = tmp_path / "data.jsonl"
    path.write_text(path.read_text().replace("Line(A, B)), 12", "Line(A, B)), 13"))
    assert annotated(tmp_path, sets=sets)[0] == 0
    assert {a["text"] for a in rows(tmp_path, "annotations") if a["type"] == "length"} == {"AB is 13."}


def test_ready_annotations_and_chains_of_thought_of_a_data_set_are_taken(tmp_path: Path) -> None:
    sets = data(tmp_path)
    assert annotated(tmp_path, sets=(*sets, "annotate.origin=annotations"))[0] == 0
    facts = [(a["problem"], a["text"], a["dropped"], a["origin"]) for a in rows(tmp_path, "annotations")]
    assert facts[:2] == [
        ("a", "AB is 12.", "", "visual_key_info"),
        ("a", "AB + CD = 20.", "deduction", "visual_key_info"),
    ]
    assert annotated(tmp_path, sets=(*sets, "annotate.origin=responses", "annotate.min_support=1"))[0] == 0
    assert {row["kind"] for row in rows(tmp_path, "given")} == {"response", "logic_form"}
    made = [(t["id"], t["dropped"], t["tokens"]) for t in rows(tmp_path, "trajectories")]
    assert made == [("a/0", "", 0), ("b/0", "wrong answer", 0)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_another_rule_asks_no_model_and_a_killed_run_repeats_only_what_was_under_way(tmp_path: Path) -> None:
    with serving(faults=[Fault(delay_s=0.05)] * 1000) as server:
        served = [
            f"endpoints.{role}={{model='embedded/{role}', base_url='{server.url}', concurrency=4}}"
            for role in ("teacher", "extractor")
        ]
        sets = (*served, "annotate.problems.count=24", "annotate.trajectories=3")
        run = started(tmp_path, sets=sets)
        while server.requests < 36:
            time.sleep(0.01)
        run.kill()
        run.communicate()
        code, said = annotated(tmp_path, sets=sets)
        assert code == 0, said
        asked = 24 * 3 + sum(row["dropped"] == "" for row in rows(tmp_path, "trajectories"))
        assert asked <= server.requests <= asked + 4
        before = server.requests
        assert annotated(tmp_path, sets=(*sets, "annotate.min_support=1", "annotate.drop_stated=false"))[0] == 0
        assert annotated(tmp_path, sets=sets)[0] == 0
        assert server.requests == before
    usage = rows(tmp_path, "usage", "embedded-teacher")
    assert [(row["role"], row["requests"], row["failures"]) for row in usage] == [("teacher", 72, 0)]


def test_what_a_bad_night_left_is_not_stored_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with serving(faults=[None] * 4 + [Fault(status=500)] * 3) as server:
        teacher = f"endpoints.teacher={{model='embedded/teacher', base_url='{server.url}', concurrency=1, retries=0}}"
        sets = (teacher, "annotate.problems.count=6", "annotate.trajectories=2")
        code, said = annotated(tmp_path, sets=sets)
        assert code == 1
        assert "annotate failed: 3 of 12 requests got no reply, the last: embedded/teacher at" in said
        code, said = annotated(tmp_path, sets=sets)
        assert code == 0, said
        assert server.requests == 12 + 3
    assert not [row for row in rows(tmp_path, "trajectories") if row["dropped"].startswith("server failed")]


def test_a_spent_budget_is_one_line_with_the_remedy_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    sets = ("annotate.problems.count=12", "annotate.budget_tokens=2000")
    code, said = annotated(tmp_path, sets=sets)
    assert code == 1
    assert "annotate failed: the budget of 2,000 tokens is spent" in said
    assert "raise annotate.budget_tokens" in said
    code, said = annotated(tmp_path, sets=("annotate.problems.count=12", "annotate.budget_tokens=1000000"))
    assert code == 0, said
    assert "  teacher: 60 requests, 0 failed, " in said
    assert "the paper's own preparation took 1.1 M." in said
