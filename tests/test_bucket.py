"""The same store in an object store: put-if-absent on every key, plain files only in the cache."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore, MemoryStore

import storage
from storage import Bucket, Store, errors

ROWS = [{"id": "a"}, {"id": "b"}]


@pytest.fixture(params=["memory", "local"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path / "bucket", mkdir=True)


@pytest.fixture
def machines(bucket: Any, tmp_path: Path) -> list[Store]:
    """Two machines on one bucket: nothing is shared but the bucket."""
    return [storage.open_store(Bucket(bucket, tmp_path / f"cache{i}")) for i in range(2)]


def test_what_one_machine_puts_the_other_gets(machines: list[Store], tmp_path: Path) -> None:
    here, there = machines
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/model").write_bytes(b"weights")
    problems = here.put("problems", "geo", ROWS)
    checkpoint = here.put("checkpoint", "seed0", tmp_path / "ck", parents=[problems])
    assert there.get("problems/geo").to_pylist() == ROWS
    assert (there.get("checkpoint/seed0") / "model").read_bytes() == b"weights"
    assert there.put("problems", "geo", ROWS) == problems
    assert list(storage.lineage(there, checkpoint)) == ["checkpoint/seed0@1", "problems/geo@1"]
    assert storage.sql("SELECT id, _version FROM problems ORDER BY id", there).fetchall()[0] == ("a", "problems/geo@1")
    there.tag("problems/geo@1", "published")
    assert here.at("problems/geo:published") == problems
    assert storage.verify(here) == storage.verify(there) == []


def test_numbers_are_dense_whoever_writes(machines: list[Store]) -> None:
    def put(i: int) -> int:
        return machines[i % 2].put("problems", f"x{i % 2}" if i % 3 else "shared", [{"i": i}]).seq

    # one thread a machine: a handle is shared by threads that write different names
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda m: [put(i) for i in range(m, 40, 2)], range(2)))
    seqs = machines[0].versions.seqs("problems", "shared")
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(storage.artifacts(machines[1])) == 40


def test_a_stage_finished_elsewhere_is_found(machines: list[Store]) -> None:
    calls = []

    def body(work: storage.Work) -> dict[str, Any]:
        calls.append(work.run)
        return {"annotations/x": ROWS}

    runs = [storage.stage(machine, "annotate", [], {}, body) for machine in machines]
    assert len(calls) == 1
    assert [run.reused for run in runs] == [False, True]


def test_gc_removes_from_the_bucket(machines: list[Store]) -> None:
    here, there = machines
    for i in range(3):
        here.put("problems", "x", [{"i": i}])
    assert storage.gc(here, keep=1, grace_s=-1, delete=True).versions == ("problems/x@1", "problems/x@2")
    with pytest.raises(errors.Expired):
        there.get("problems/x@1")
    assert there.get("problems/x").to_pylist() == [{"i": 2}]
    assert storage.verify(there) == []


def test_a_lost_cache_loses_nothing(machines: list[Store], tmp_path: Path) -> None:
    import shutil

    version = machines[0].put("problems", "x", ROWS)
    shutil.rmtree(tmp_path / "cache0")
    assert machines[0].get(version).to_pylist() == ROWS


def test_a_missing_object_is_damage_here_too(machines: list[Store]) -> None:
    here, there = machines
    version = here.put("problems", "x", ROWS)
    here.place.remove(version.key)
    with pytest.raises(errors.Damaged, match="is missing"):
        there.get(version)
