"""Where a version comes from, what came of it, why two differ, and what changed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import storage
from storage import Change, Code, Store, errors


@pytest.fixture
def chain(store: Store) -> Store:
    """problems → annotations → checkpoint_log, made twice: the second time with another question."""
    for question, support in (("How long?", 2), ("How wide?", 2)):
        problems = store.put(
            "problems", "geo", [{"id": "p1", "question": question}], config={"source": {"split": question}}
        )
        annotations = store.put(
            "annotations", "geo", [{"id": "a", "text": question}], parents=[problems], config={"k": support}
        )
        store.put("rollouts", "seed0", [{"id": "r", "text": question}], parents=[annotations, problems])
    return store


def test_ancestors_and_descendants_to_any_depth(chain: Store) -> None:
    up = storage.lineage(chain, "rollouts/seed0@1")
    assert up.arrows == {
        "rollouts/seed0@1": ("annotations/geo@1", "problems/geo@1"),
        "annotations/geo@1": ("problems/geo@1",),
        "problems/geo@1": (),
    }
    down = storage.lineage(chain, "problems/geo@1", "down")
    assert down.arrows == {
        "problems/geo@1": ("annotations/geo@1", "rollouts/seed0@1"),
        "annotations/geo@1": ("rollouts/seed0@1",),
        "rollouts/seed0@1": (),
    }
    assert list(storage.lineage(chain, "rollouts/seed0@1", depth=1)) == [
        "rollouts/seed0@1",
        "annotations/geo@1",
        "problems/geo@1",
    ]
    assert '"problems/geo@1" -> "annotations/geo@1";' in up.dot()
    assert '"problems/geo@1" -> "annotations/geo@1";' in down.dot()


@pytest.fixture
def shallow() -> Iterator[int]:
    """A stack on which a call for each of so many generations has no room."""
    limit, generations = sys.getrecursionlimit(), 300
    sys.setrecursionlimit(generations)
    yield generations
    sys.setrecursionlimit(limit)


def test_a_line_longer_than_the_stack_is_followed(store: Store, shallow: int) -> None:
    version = store.put("checkpoint_log", "x", [{"i": -1}])
    for i in range(1, shallow):
        version = store.put("checkpoint_log", "x", [{"i": 0}], parents=[version], config={"i": i})
    assert len(storage.lineage(store, version).arrows) == shallow
    assert len(storage.lineage(store, "checkpoint_log/x@1", "down").arrows) == shallow


def test_why_finds_the_change_through_the_generations(chain: Store) -> None:
    why = storage.why(chain, "rollouts/seed0")
    assert (why.before, why.after, why.same_content) == ("rollouts/seed0@1", "rollouts/seed0@2", False)
    assert why.parents == (
        Change("annotations", "annotations/geo@1", "annotations/geo@2"),
        Change("problems", "problems/geo@1", "problems/geo@2"),
    )
    assert why.config == why.code == why.packages == ()
    assert why.deeper[0].parents == (Change("problems", "problems/geo@1", "problems/geo@2"),)
    assert why.deeper[1].config == (Change("source.split", "How long?", "How wide?"),)


def test_why_names_config_code_and_packages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage import provenance

    def code(digest: str) -> Code:
        modules = {"perception_r1.judges": digest, "perception_r1.records": "same"}
        return Code(storage.artifact.digest_of(modules), modules)

    monkeypatch.setattr(provenance, "environment", lambda: {"python": "3.11.7", "packages": {"trl": "1.16.0"}})
    store.put("rollouts", "x", [{"i": 1}], config={"lr": 1e-6, "seed": 0, "gone": 1}, code=code("old"))
    monkeypatch.setattr(provenance, "environment", lambda: {"python": "3.11.7", "packages": {"trl": "1.17.0"}})
    store.put("rollouts", "x", [{"i": 2}], config={"lr": 1e-5, "seed": 0, "new": None}, code=code("new"))
    why = storage.why(store, "rollouts/x")
    assert why.config == (Change("gone", 1, None), Change("lr", 1e-6, 1e-5), Change("new", None, None))
    assert why.code == (Change("perception_r1.judges", "old", "new"),)
    assert why.packages == (Change("trl", "1.16.0", "1.17.0"),)


def test_why_says_when_nothing_on_record_differs(store: Store) -> None:
    store.put("rollouts", "x", [{"i": 1}])
    store.put("rollouts", "x", [{"i": 2}])
    why = storage.why(store, "rollouts/x")
    assert (why.explained, why.same_content) == (False, False)


def test_why_needs_two_versions(chain: Store) -> None:
    assert storage.why(chain, "problems/geo@1", "problems/geo@2").before == "problems/geo@2"
    with pytest.raises(errors.NotFound, match="is the first version"):
        storage.why(chain, "problems/geo@1")


BEFORE = [
    {"id": 1, "text": "a", "n": None},
    {"id": 2, "text": "b", "n": 1.0},
    {"id": 3, "text": "c", "n": float("nan")},
]
AFTER = [
    {"id": 4, "text": "d", "n": 0.0, "new": 1},
    {"id": 3, "text": "c", "n": float("nan"), "new": 1},
    {"id": 2, "text": "B", "n": None, "new": 1},
]


def test_diff_finds_rows_and_columns_by_key(store: Store) -> None:
    store.put("annotations", "x", BEFORE)
    store.put("annotations", "x", AFTER)
    diff = storage.diff(store, "annotations/x@1", "annotations/x@2")
    assert diff.added.to_pylist() == [AFTER[0]]
    assert diff.removed.to_pylist() == [BEFORE[0]]
    assert diff.changed.to_pylist() == [
        {"id": 2, "columns": ["text", "n"], "before.text": "b", "after.text": "B", "before.n": 1.0, "after.n": None}
    ]
    assert (diff.columns_added, diff.columns_removed, bool(diff)) == (("new",), (), True)
    assert not storage.diff(store, "annotations/x@1", "annotations/x@1")


def test_diff_takes_any_key_and_refuses_what_is_none(store: Store) -> None:
    store.put("rollouts", "x", [{"step": 1, "group": 1, "text": "a"}, {"step": 1, "group": 2, "text": "b"}])
    store.put("rollouts", "x", [{"step": 1, "group": 1, "text": "a"}, {"step": 1, "group": 2, "text": "c"}])
    diff = storage.diff(store, "rollouts/x@1", "rollouts/x@2", ["step", "group"])
    assert diff.changed["columns"].to_pylist() == [["text"]]
    with pytest.raises(errors.BadData, match=r"no column id .* it has: step, group, text"):
        storage.diff(store, "rollouts/x@1", "rollouts/x@2")
    with pytest.raises(errors.BadData, match="occurs more than once"):
        storage.diff(store, "rollouts/x@1", "rollouts/x@2", ["step"])


def test_diff_of_folders_is_by_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "ck").mkdir()
    for text in ("one", "two"):
        (tmp_path / "ck/model").write_text(text)
        (tmp_path / "ck/config").write_text("same")
        (tmp_path / f"ck/only {text}").write_text(text)
        store.put("checkpoint", "x", tmp_path / "ck")
    diff = storage.diff(store, "checkpoint/x@1", "checkpoint/x@2")
    assert diff.changed["path"].to_pylist() == ["model"]
    assert diff.added["path"].to_pylist() == ["only two"]
    store.put("problems", "x", [{"id": 1}])
    with pytest.raises(errors.BadData, match=r"is a table, checkpoint/x@1 a folder"):
        storage.diff(store, "problems/x", "checkpoint/x@1")
