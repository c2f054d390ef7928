"""Units of work: one body a cause, found ever after, resumed after a crash."""

import functools
import gc
import importlib
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

import storage
from storage import Store, Work, errors, provenance

ROWS = [{"id": "p1"}, {"id": "p2"}]


class Body:
    """A body that counts its calls and does what it is given."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.calls = 0

    def __call__(self, work: Work) -> dict[str, Any]:
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return dict(result(work)) if callable(result) else result


def test_a_finished_run_is_found(store: Store) -> None:
    body = Body({"annotations/x": ROWS})
    first = storage.stage(store, "annotate", [], {"k": 1}, body)
    second = storage.stage(store, "annotate", [], {"k": 1}, body)
    assert body.calls == 1
    assert (first.reused, second.reused) == (False, True)
    assert second["annotations/x"] == first["annotations/x"]


@pytest.mark.parametrize("what", ["stage", "config", "input"])
def test_another_stage_config_or_input_content_is_another_run(store: Store, what: str) -> None:
    body = Body({"annotations/x": ROWS})
    one, other = store.put("problems", "a", ROWS), store.put("problems", "b", [{"id": "p3"}])
    storage.stage(store, "annotate", [one], {"k": 1}, body)
    changed = {
        "stage": ("other", [one], {"k": 1}),
        "config": ("annotate", [one], {"k": 2}),
        "input": ("annotate", [other], {"k": 1}),
    }
    storage.stage(store, *changed[what], body)
    assert body.calls == 2


def test_equal_content_cuts_off_everything_downstream(store: Store) -> None:
    downstream = Body({"verdicts/x": ROWS})
    for seed in (1, 2):
        judged = storage.stage(store, "judge", [], {"prompt": seed}, Body({"annotations/x": ROWS}))
        storage.stage(store, "train", [judged["annotations/x"]], {}, downstream)
    assert downstream.calls == 1


def test_a_failed_body_is_run_again_and_its_finished_shards_are_not(store: Store, root: Path) -> None:
    made: list[int] = []

    def shards(work: Work) -> Iterator[tuple[str, Any]]:
        def make(i: int) -> list[dict[str, int]]:
            made.append(i)
            if i == 2 and made.count(2) == 1:
                raise RuntimeError("the machine went away")
            return [{"i": i}]

        yield "annotations/x", (work.shard(i, make) for i in range(4))

    body = Body(shards)
    with pytest.raises(RuntimeError, match="went away"):
        storage.stage(store, "annotate", [], {}, body)
    assert list((root / "work").iterdir())
    run = storage.stage(store, "annotate", [], {}, body)
    assert made == [0, 1, 2, 2, 3]
    assert store.get(run["annotations/x"])["i"].to_pylist() == [0, 1, 2, 3]
    assert not list((root / "work").iterdir())
    assert storage.verify(store) == []


def test_a_torn_shard_is_made_again(store: Store, root: Path) -> None:
    def body(work: Work) -> dict[str, Any]:
        shard = work.shard(0, lambda i: [{"i": i}])
        if not (root / "second").exists():
            (root / "second").touch()
            next((work.path / "shards").iterdir()).write_bytes(b"PAR1 torn")
            raise RuntimeError
        return {"annotations/x": shard}

    with pytest.raises(RuntimeError):
        storage.stage(store, "annotate", [], {}, body)
    run = storage.stage(store, "annotate", [], {}, body)
    assert store.get(run["annotations/x"]).to_pylist() == [{"i": 0}]


def test_empty_shards_need_a_schema_and_then_fit(store: Store) -> None:
    schema = pa.schema([("i", pa.int64())])
    make: Any = lambda i: [] if i == 0 else [{"i": i}]  # noqa: E731
    with pytest.raises(errors.BadData, match="pass schema="):
        storage.stage(store, "annotate", [], {}, lambda work: {"annotations/x": work.shard(0, make)})
    body = Body(lambda work: {"annotations/x": (work.shard(i, make, schema) for i in range(3))})
    run = storage.stage(store, "annotate", [], {}, body)
    assert store.get(run["annotations/x"])["i"].to_pylist() == [1, 2]


def test_force_is_a_further_attempt_that_is_then_the_one_found(store: Store, root: Path) -> None:
    body = Body({"annotations/x": ROWS}, {"annotations/x": [{"id": "p9"}]}, ValueError("never a third time"))
    storage.stage(store, "annotate", [], {}, body)
    forced = storage.stage(store, "annotate", [], {}, body, force=True)
    found = storage.stage(store, "annotate", [], {}, body)
    assert (forced.attempt, found.attempt, found.reused) == (2, 2, True)
    assert found["annotations/x"].version == "annotations/x@2"
    assert len(list((root / "runs").iterdir())) == 2


def test_a_folder_of_the_work_is_taken_over_without_a_copy(store: Store, root: Path) -> None:
    inodes = []

    def body(work: Work) -> dict[str, Any]:
        (work.path / "final").mkdir()
        (work.path / "final/model").write_bytes(b"w" * 1000)
        inodes.append((work.path / "final/model").stat().st_ino)
        work.cost = 1.5
        return {"checkpoint/x": work.path / "final"}

    version = storage.stage(store, "train", [], {}, body)["checkpoint/x"]
    assert (store.get(version) / "model").stat().st_ino == inodes[0]
    assert version.cost == 1.5
    assert version.duration_s is not None


def test_a_resumed_body_cannot_rewrite_what_the_store_took_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between put and run record: the body writes its checkpoint again, in place, as trainers do."""
    from storage import runs

    contents = iter([b"first", b"other"])

    def body(work: Work) -> dict[str, Any]:
        (work.path / "final").mkdir(exist_ok=True)
        with (work.path / "final/model").open("wb") as file:
            file.write(next(contents))
        return {"checkpoint/x": work.path / "final"}

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "_publish", killed)
        with pytest.raises(KeyboardInterrupt):
            storage.stage(store, "train", [], {}, body)
    storage.stage(store, "train", [], {}, body)
    assert (store.get("checkpoint/x@1") / "model").read_bytes() == b"first"
    assert (store.get("checkpoint/x@2") / "model").read_bytes() == b"other"
    assert storage.verify(store) == []


def test_a_run_whose_data_is_gone_is_done_again(store: Store) -> None:
    body = Body({"annotations/x": ROWS})
    run = storage.stage(store, "annotate", [], {}, body)
    store.path(run["annotations/x"]).unlink()
    assert storage.stage(store, "annotate", [], {}, body).attempt == 2
    assert storage.verify(store) == []


@pytest.mark.parametrize("output", ["annotations", "annotations/x@1", "annotations/x:t", "a/b/c"])
def test_an_output_is_named_by_kind_and_name(store: Store, output: str) -> None:
    with pytest.raises(errors.BadName):
        storage.stage(store, "annotate", [], {}, lambda work: {output: ROWS})


def test_a_log_is_sealed_as_an_output(store: Store, root: Path) -> None:
    def body(work: Work) -> dict[str, Any]:
        log = work.log("rollouts", "seed0")
        log.append([{"step": log.rows}])
        log.flush()
        if log.rows < 3:
            raise RuntimeError("killed after a step")
        return {"rollouts/seed0": log}

    for _ in range(2):
        with pytest.raises(RuntimeError):
            storage.stage(store, "train", [], {}, body)
    version = storage.stage(store, "train", [], {}, body)["rollouts/seed0"]
    assert store.get(version)["step"].to_pylist() == [0, 1, 2]
    assert not list((root / "logs/rollouts/seed0").iterdir())


def test_what_a_body_does_to_its_config_changes_no_record(store: Store) -> None:
    config = {"k": [1]}

    def body(work: Work) -> dict[str, Any]:
        config["k"].append(2)
        return {"annotations/x": ROWS}

    assert storage.stage(store, "annotate", [], config, body)["annotations/x"].config == {"k": [1]}


def test_a_log_that_is_not_returned_is_not_lost(store: Store) -> None:
    def body(work: Work) -> dict[str, Any]:
        work.log("rollouts", "seed0").append([{"step": 1}])
        return {"annotations/x": ROWS}

    with pytest.raises(errors.BadData, match="is not among the outputs"):
        storage.stage(store, "train", [], {}, body)
    assert storage.sql("SELECT step FROM rollouts_open", store).fetchall() == [(1,)]


def test_a_body_without_outputs_is_told_what_to_return(store: Store) -> None:
    with pytest.raises(errors.BadData, match="returns its outputs as"):
        storage.stage(store, "train", [], {}, lambda work: None)  # type: ignore[arg-type, return-value]


def test_a_damaged_run_record_means_run_again(store: Store, root: Path) -> None:
    body = Body({"annotations/x": ROWS})
    storage.stage(store, "annotate", [], {}, body)
    (record,) = (root / "runs").iterdir()
    record.chmod(0o644)
    record.write_bytes(b"torn")
    assert storage.stage(store, "annotate", [], {}, body).attempt == 2


# --- the digest of the code -------------------------------------------------------------------------------------------

PROJECT = {
    "proj/__init__.py": "",
    "proj/stage.py": "import json\nfrom proj.used import f\ndef body(work):\n    from proj import late\n",
    "proj/used.py": "from . import deep\ndef f():\n    '''Says what f does.'''\n    return 1  # one\n",
    "proj/deep/__init__.py": "",
    "proj/deep/prompts/judge.txt": "Is it there?",
    "proj/late.py": "X = 1\n",
    "proj/unused.py": "Y = 1\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(provenance, "STARTED", time.time() + 3600)  # what is edited here is never run
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "proj"]:
        del sys.modules[name]


def code(*roots: Any) -> storage.Code:
    return storage.code_of(*(roots or [importlib.import_module("proj.stage")]), project=("proj",))


def test_the_code_of_a_stage_is_what_it_imports_from_the_project(project: Path) -> None:
    assert set(code().modules) == {
        "proj",
        "proj.stage",
        "proj.used",
        "proj.deep",
        "proj.late",
        "proj.deep/prompts/judge.txt",
    }


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        pytest.param("proj/used.py", "from . import deep\ndef f():\n    return 2\n", True, id="code-two-imports-away"),
        pytest.param("proj/late.py", "X = 2\n", True, id="imported-inside-a-function"),
        pytest.param("proj/deep/prompts/judge.txt", "Is it there? ", True, id="a-prompt"),
        pytest.param("proj/deep/prompts/new.txt", "?", True, id="a-new-prompt"),
        pytest.param(
            "proj/used.py",
            "from . import deep\n\n# better\ndef f():\n    '''New.'''\n    return 1\n",
            False,
            id="comments",
        ),
        pytest.param("proj/unused.py", "Y = 2\n", False, id="a-module-that-is-not-imported"),
    ],
)
def test_the_digest_changes_with_the_code_and_only_with_it(project: Path, file: str, text: str, changes: bool) -> None:
    before = code()
    (project / file).write_text(text)
    assert (code() != before) is changes


@pytest.fixture
def restless() -> Iterator[None]:
    """The garbage collector and the threads take turns as often as they can."""
    turns, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50, 2, 2)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*turns)
    sys.setswitchinterval(interval)


class Waste:
    """What the collector must run code for, in the midst of whatever else is under way."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        sum(range(50))


@pytest.mark.usefixtures("restless")
def test_stages_of_one_process_may_ask_for_their_code_at_once(project: Path) -> None:
    # Python before 3.11.8 keeps the depth of a parse for all threads together
    names = [f"proj.part{number}" for number in range(64)]
    for name in names:
        body = "".join(f"def f{n}(a, b=({n}, [{n}])):\n    return {{a: [b, (a, {n})]}}\n" for n in range(90))
        (project / f"{name.replace('.', '/')}.py").write_text(body)

    def one(name: str) -> storage.Code:
        Waste()
        return code(name)

    with ThreadPoolExecutor(8) as pool:
        assert all(name in found.modules for name, found in zip(names, pool.map(one, names), strict=True))


def test_code_started_by_name_counts_when_it_is_named(project: Path) -> None:
    assert "proj.unused" in code("proj.stage", "proj.unused").modules


def test_prompts_of_two_packages_with_one_name_are_two(project: Path) -> None:
    (project / "proj/deep/__init__.py").write_text("import other.deep")
    for folder in ("proj/deep/prompts", "other/deep/prompts"):
        (project / folder).mkdir(parents=True, exist_ok=True)
        (project / folder / "same.txt").write_text(folder)
    (project / "other/__init__.py").touch()
    (project / "other/deep/__init__.py").touch()
    modules = storage.code_of("proj.stage", project=("proj", "other")).modules
    assert {"proj.deep/prompts/same.txt", "other.deep/prompts/same.txt"} <= set(modules)


def test_what_editors_and_stores_leave_in_a_package_is_no_code(project: Path) -> None:
    before = code()
    (project / "proj/.perception-r1").mkdir()
    (project / "proj/.perception-r1/x.parquet").write_text("x")
    (project / "proj/used.py~").write_text("x")
    (project / "proj/.used.py.swp").write_text("x")
    assert code() == before


def test_code_that_was_changed_under_a_running_process_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module("proj.stage")
    monkeypatch.setattr(provenance, "STARTED", time.time() - 3600)
    with pytest.raises(errors.BadData, match=r"stage\.py was changed after this process started"):
        code("proj.stage")


def test_a_partial_is_no_body(store: Store) -> None:
    with pytest.raises(errors.BadData, match="put them into the config"):
        storage.stage(store, "annotate", [], {}, functools.partial(lambda n, work: {"annotations/x": ROWS}, 1))


def test_code_without_a_file_is_refused() -> None:
    loose = ModuleType("loose")
    with pytest.raises(errors.BadData, match="has no file"):
        storage.code_of(loose)


# --- several processes ------------------------------------------------------------------------------------------------

WORKER = """
    import sys, time
    from pathlib import Path
    import storage

    def body(work):
        def make(i):
            with open(sys.argv[2], "a") as file:
                file.write(f"{i}\\n")
            time.sleep(0.02)
            return [{"i": i}]
        return {"annotations/x": (work.shard(i, make) for i in range(8))}

    print(storage.stage(storage.open_store(sys.argv[1]), "annotate", [], {}, body)["annotations/x"].version)
"""


def test_three_identical_runs_at_once_do_each_unit_once(root: Path, tmp_path: Path) -> None:
    script, done = tmp_path / "worker.py", tmp_path / "done"
    script.write_text(textwrap.dedent(WORKER))
    processes = [
        subprocess.Popen([sys.executable, script, root, done], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [p.communicate(timeout=60)[0].strip() for p in processes] == ["annotations/x@1"] * 3
    assert sorted(done.read_text().split()) == sorted(map(str, range(8)))


def test_outputs_are_in_one_order_whether_they_were_done_or_found(store: Store) -> None:
    def both(work: Work) -> dict[str, Any]:
        return {"zebras/z": [{"n": 1}], "apes/a": [{"n": 2}]}

    done, found = (storage.stage(store, "s", [], {}, both) for _ in range(2))
    assert found.reused
    assert list(done.outputs) == list(found.outputs)
