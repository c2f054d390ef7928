"""SQL over the store: one view a kind, read-only, up to date, and rebuilt from nothing."""

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

import storage
from storage import Store, errors
from storage.records import write_catalog


@pytest.fixture
def filled(store: Store) -> Store:
    store.put("problems", "geo", [{"id": "p1"}])
    first = store.put(
        "annotations", "geo", [{"id": "a1", "text": "AB is 5"}], parents=["problems/geo"], config={"k": 1}
    )
    store.put("annotations", "geo", [{"id": "a1", "text": "AB is 6"}], parents=["problems/geo"], config={"k": 2})
    store.put("annotations", "other", [{"id": "b1", "text": "x", "support": 2}])
    store.tag(first, "published")
    return store


def test_a_kind_is_a_view_of_the_latest_versions(filled: Store) -> None:
    rows = storage.sql("SELECT id, text, support, _version, _name FROM annotations ORDER BY id", filled).fetchall()
    assert rows == [("a1", "AB is 6", None, "annotations/geo@2", "geo"), ("b1", "x", 2, "annotations/other@1", "other")]


def test_all_versions_are_a_view_too(filled: Store) -> None:
    rows = storage.sql("SELECT _version, count(*) FROM annotations_versions GROUP BY 1 ORDER BY 1", filled).fetchall()
    assert rows == [("annotations/geo@1", 1), ("annotations/geo@2", 1), ("annotations/other@1", 1)]


def test_versions_lineage_and_tags_are_tables(filled: Store) -> None:
    found = storage.sql("SELECT version, tags FROM versions WHERE config ->> '$.k' = '1'", filled).fetchall()
    assert found == [("annotations/geo@1", ["published"])]
    edges = storage.sql("SELECT child, parent FROM lineage ORDER BY child", filled).fetchall()
    assert edges == [("annotations/geo@1", "problems/geo@1"), ("annotations/geo@2", "problems/geo@1")]
    assert storage.sql("SELECT tag, version FROM tags", filled).fetchall() == [("published", "annotations/geo@1")]


def test_a_folder_kind_is_a_view_of_its_files(store: Store, tmp_path: Path) -> None:
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/model").write_bytes(b"12345")
    store.put("checkpoint", "seed0", tmp_path / "ck")
    assert storage.sql("SELECT path, bytes, _version FROM checkpoint", store).fetchall() == [
        ("model", 5, "checkpoint/seed0@1")
    ]


@pytest.mark.parametrize(
    "query",
    [
        "DROP VIEW versions",
        "CREATE TABLE x (i INT)",
        "COPY (SELECT 1) TO '{out}'",
        "ATTACH '{out}'",
        "INSERT INTO records SELECT * FROM records",
        "SET threads = 1",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO '{out}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
        "EXPORT DATABASE '{out}'",
        "",
        "not sql at all",
        "SELECT * FROM no_such_view",
        "SELECT no_such_column FROM versions",
    ],
)
def test_only_a_select_is_answered(filled: Store, tmp_path: Path, query: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(errors.Refused):
        storage.sql(query.format(out=out), filled)
    assert not out.exists()


def test_a_save_is_one_select_too(filled: Store, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(errors.Refused):
        storage.save(f"SELECT 1) TO '{tmp_path}/evil.csv'; COPY (SELECT 1", out, filled)
    assert storage.save("SELECT id FROM annotations ORDER BY id; -- sorted", out, filled).read_text() == "id\na1\nb1\n"
    assert sorted(p.name for p in tmp_path.glob("*.csv")) == ["out.csv"]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_an_answer_can_be_saved(filled: Store, tmp_path: Path, suffix: str) -> None:
    out = storage.save("SELECT id, text FROM annotations", tmp_path / f"a b.{suffix}", filled)
    readers = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}
    assert duckdb.sql(f"SELECT count(*) FROM {readers[suffix]}('{out}')").fetchall() == [(2,)]
    with pytest.raises(errors.BadData, match="must end in"):
        storage.save("SELECT 1", tmp_path / "x.xlsx", filled)
    with pytest.raises(errors.BadData, match="cannot write"):
        storage.save("SELECT 1", tmp_path / f"no folder/x.{suffix}", filled)


def test_answers_become_frames(filled: Store) -> None:
    query = "SELECT id FROM annotations ORDER BY id"
    assert storage.sql(query, filled).df()["id"].tolist() == ["a1", "b1"]
    assert storage.sql(query, filled).pl()["id"].to_list() == ["a1", "b1"]


def test_the_catalogue_is_rebuilt_from_nothing_and_from_garbage(filled: Store, root: Path) -> None:
    count = "SELECT count(*) FROM versions"
    write_catalog(filled)
    for damage in (b"garbage", b"PAR1", b""):
        (root / "catalog.parquet").write_bytes(damage)
        assert storage.sql(count, filled).fetchall() == [(4,)]
    (root / "catalog.parquet").unlink()
    assert storage.sql(count, filled).fetchall() == [(4,)]


def test_a_catalogue_is_brought_up_to_date(filled: Store) -> None:
    write_catalog(filled)
    new = filled.put("annotations", "geo", [{"id": "a2", "text": "new"}])
    filled.tag(new, "published")
    assert storage.sql("SELECT max(seq) FROM versions WHERE name = 'geo'", filled).fetchall() == [(3,)]
    assert storage.sql("SELECT id FROM annotations WHERE _name = 'geo'", filled).fetchall() == [("a2",)]
    assert storage.sql("SELECT version FROM tags", filled).fetchall() == [("annotations/geo@3",)]
    assert filled.find(new.cause) == [new]


def test_a_catalogue_of_records_that_are_gone_is_not_believed(filled: Store, root: Path) -> None:
    write_catalog(filled)
    (root / "versions/annotations/other/00000001.json").unlink()
    assert storage.sql("SELECT count(*) FROM versions", filled).fetchall() == [(3,)]


def test_many_versions_bring_their_catalogue_with_them(store: Store, root: Path) -> None:
    from storage.records import STALE_ROWS

    for i in range(STALE_ROWS + 1):
        store.versions.append(
            store.put("problems", "x", [{"i": 0}]).record() | {"config": {"i": i}, "cause": f"{i:064x}"}
        )
    assert not (root / "catalog.parquet").exists()
    assert len(storage.artifacts(store)) == STALE_ROWS + 2
    assert (root / "catalog.parquet").exists()
    assert storage.artifacts(store)[-1] == store.latest("problems", "x")


def test_plain_duckdb_opens_the_catalogue(filled: Store, root: Path) -> None:
    path = storage.write_database(filled)
    script = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).sql(sys.argv[2]).fetchall())"
    query = "SELECT a.id, v.status FROM annotations a JOIN versions v ON v.version = a._version ORDER BY a.id"
    done = subprocess.run([sys.executable, "-c", script, path.name, query], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[('a1', 'whole'), ('b1', 'whole')]", done.stderr


def test_readers_ask_while_a_writer_works(root: Path, tmp_path: Path) -> None:
    writer = (
        "import sys, storage\nstore = storage.open_store(sys.argv[1])\n"
        "for i in range(60): store.put('problems', 'x', [{'i': i}])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", writer, root])
    store = storage.open_store(root)
    seen = [0]
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        (count,) = storage.sql("SELECT count(*) FROM versions WHERE status = 'whole'", store).fetchall()[0]
        seen.append(count)
        if count:
            assert storage.sql("SELECT i FROM problems", store).fetchall()[0][0] >= count - 1
    assert process.wait() == 0
    assert seen == sorted(seen)
    assert storage.sql("SELECT count(*) FROM versions", store).fetchall() == [(60,)]


def test_kinds_and_columns_may_be_called_anything(store: Store) -> None:
    for kind in ("records", "expired"):
        store.put(kind, "x", [{"_file": 1, "versions": 2, "owner": 3}])
        assert storage.sql(f"SELECT _file, versions, owner, _name FROM {kind}", store).fetchall() == [(1, 2, 3, "x")]
    storage.write_database(store)


def test_letters_that_are_patterns_elsewhere_are_letters_in_a_path(tmp_path: Path) -> None:
    store = storage.open_store(tmp_path / "what? [a] {b,c} *")
    store.put("problems", "x", [{"id": 1}])
    assert storage.sql("SELECT id FROM problems", store).fetchall() == [(1,)]


def test_logs_with_different_columns_are_one_view(store: Store, root: Path) -> None:
    for name, row in (("a", {"i": 1}), ("b", {"i": 2, "more": "x"})):
        with storage.Log(root / "logs/rollouts" / name / "run") as log:
            log.append([row])
    assert storage.sql("SELECT i, more FROM rollouts_open ORDER BY i", store).fetchall() == [(1, None), (2, "x")]
