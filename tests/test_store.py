"""Put, get, find, tag: what a version is and when two are one."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import storage
from storage import Store, errors

ROWS = [{"id": "p1", "text": "AB is 5"}, {"id": "p2", "text": None}]
TABLE = pa.table({"id": ["p1", "p2"], "text": ["AB is 5", None]})


def test_a_version_comes_back_by_every_reference(store: Store) -> None:
    one = store.put("annotations", "geo", ROWS)
    two = store.put("annotations", "geo", [*ROWS, {"id": "p3", "text": "new"}])
    store.tag(one, "published")
    assert (one.version, two.version) == ("annotations/geo@1", "annotations/geo@2")
    assert store.at("annotations/geo") == two == store.latest("annotations", "geo")
    assert store.at("annotations/geo@1") == one == store.at("annotations/geo:published")
    assert store.get("annotations/geo@1").equals(TABLE)
    assert store.get(two).num_rows == 3


def test_a_second_handle_sees_the_same(store: Store, root: Path) -> None:
    one = store.put("annotations", "geo", ROWS, config={"k": [1, 2.5, None, "ü"]})
    assert storage.open_store(root).at("annotations/geo@1") == one


FORMS: dict[str, Any] = {
    "table": lambda: TABLE,
    "record batch": lambda: TABLE.to_batches()[0],
    "reader": lambda: TABLE.to_reader(),
    "records": lambda: ROWS,
    "iterator of records": lambda: iter(ROWS),
    "iterator of tables": lambda: iter([TABLE.slice(0, 1), TABLE.slice(1)]),
    "iterator of batches": lambda: iter(TABLE.to_batches(max_chunksize=1)),
    "duckdb": lambda: duckdb.sql("SELECT * FROM (VALUES ('p1', 'AB is 5'), ('p2', NULL)) t(id, text)"),
    "polars": lambda: pl.DataFrame(TABLE),
    "pandas": lambda: pd.DataFrame({"id": ["p1", "p2"], "text": ["AB is 5", None]}, dtype="string[pyarrow]"),
    "datasets": lambda: datasets.Dataset(TABLE),
    "datasets, reordered": lambda: datasets.Dataset(TABLE.take([1, 0])).select([1, 0]),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_the_same_content_in_whatever_form_they_come(store: Store, form: str) -> None:
    assert store.put("annotations", "geo", FORMS[form]()).digest == store.put("annotations", "geo", TABLE).digest


def test_the_same_cause_and_content_is_found_not_written_again(store: Store, root: Path) -> None:
    parent = store.put("problems", "geo", ROWS)
    first = store.put("annotations", "geo", ROWS, parents=[parent], config={"a": 1, "b": 2})
    files = sorted(root.rglob("*"))
    again = storage.open_store(root).put("annotations", "geo", TABLE, parents=["problems/geo"], config={"b": 2, "a": 1})
    assert again == first
    assert [f for f in root.rglob("*") if f.is_file()] == [f for f in root.rglob("*") if f in files and f.is_file()]


@pytest.mark.parametrize(
    "change",
    [{"config": {"k": 2}}, {"parents": ["problems/other"]}, {"code": storage.Code("0" * 64)}],
    ids=lambda c: next(iter(c)),
)
def test_another_cause_is_another_version_of_the_same_object(store: Store, root: Path, change: dict[str, Any]) -> None:
    store.put("problems", "geo", ROWS)
    store.put("problems", "other", [{"id": "x", "text": "y"}])
    first = store.put("annotations", "geo", ROWS, parents=["problems/geo"], config={"k": 1})
    second = store.put("annotations", "geo", ROWS, **{"parents": ["problems/geo"], "config": {"k": 1}, **change})
    assert second.seq == 2
    assert second.cause != first.cause
    assert second.digest == first.digest
    assert len(list(root.glob("objects/*/*.parquet"))) == 2


def test_parents_with_equal_content_are_one_cause(store: Store) -> None:
    a = store.put("problems", "a", ROWS, config={"seed": 1})
    b = store.put("problems", "a", ROWS, config={"seed": 2})
    first = store.put("annotations", "geo", ROWS, parents=[a])
    assert store.put("annotations", "geo", ROWS, parents=[b]) == first


def test_find_returns_what_a_cause_has_made(store: Store) -> None:
    first = store.put("checkpoint_log", "x", ROWS, config={"k": 1})
    store.put("checkpoint_log", "x", ROWS, config={"k": 2})
    other = store.put("checkpoint_log", "x", [{"id": "p1", "text": "by chance"}], config={"k": 1})
    assert store.find(first.cause) == [first, other]
    assert storage.cause_of("checkpoint_log", "x", [], {"k": 1}, "") == first.cause
    assert store.find("0" * 64) == []


def test_a_tag_moves_and_goes(store: Store) -> None:
    one = store.put("checkpoint_log", "x", ROWS)
    two = store.put("checkpoint_log", "x", ROWS, config={"k": 1})
    assert store.tag(one, "baseline") == one
    store.tag(two, "baseline")
    assert store.at("checkpoint_log/x:baseline") == two
    store.untag("checkpoint_log/x:baseline")
    with pytest.raises(errors.NotFound, match="no tag 'baseline'"):
        store.at("checkpoint_log/x:baseline")


def test_a_record_says_who_and_what(root: Path) -> None:
    store = storage.open_store(root, producer={"flow_run": "f-1", "task_run": "t-1"})
    version = store.put("problems", "geo", ROWS, config={"seed": 3})
    record = json.loads((root / "versions/problems/geo/00000001.json").read_text())
    assert record["producer"]["flow_run"] == "f-1"
    assert {"host", "machine", "pid"} <= record["producer"].keys()
    assert record["config"] == {"seed": 3}
    assert record["code"].keys() & {"commit", "version"}
    environment = json.loads((root / f"objects/{version.environment[:2]}/{version.environment}").read_text())
    assert environment["packages"]["pyarrow"] == pa.__version__


def test_plain_tools_open_what_is_written(store: Store, root: Path) -> None:
    version = store.put("annotations", "geo", ROWS)
    path = root / "objects" / version.digest[:2] / f"{version.digest}.parquet"
    assert pq.read_table(path).equals(TABLE)
    assert duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall() == [(2,)]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == version.file_sha256
    assert path.stat().st_mode & 0o777 == 0o444


def test_images_lie_in_small_row_groups_uncompressed(store: Store) -> None:
    rows = [{"id": f"{i:04}", "image": bytes([i % 256]) * 2000} for i in range(300)]
    metadata = pq.read_metadata(store.path(store.put("images", "x", rows)))
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [128, 128, 44]
    assert metadata.row_group(0).column(1).compression == "UNCOMPRESSED"


def test_a_stream_is_written_without_holding_it(store: Store) -> None:
    alive = most = 0

    class Counted(dict[str, Any]):
        def __init__(self, i: int) -> None:
            nonlocal alive, most
            super().__init__(id=i, text="x" * 100)
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    version = store.put("rollouts", "x", (Counted(i) for i in range(100_000)))
    assert version.rows == 100_000
    assert most < 20_000
    assert sum(batch.num_rows for batch in store.stream(version)) == 100_000


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param([], "no rows and no schema", id="nothing"),
        pytest.param({"id": [1]}, "got dict", id="a-mapping"),
        pytest.param("rows.csv", "got str", id="a-string"),
        pytest.param([1, 2], "got int", id="numbers"),
        pytest.param([{"a": 1}, {"a": "x"}], "cannot become column", id="two-types"),
        pytest.param([{"a": object()}], "cannot become column", id="an-object"),
        pytest.param(iter([TABLE, pa.table({"id": [1]})]), "do not fit", id="tables-that-differ"),
    ],
)
def test_rows_that_are_none_are_refused(store: Store, root: Path, rows: Any, says: str) -> None:
    with pytest.raises(errors.BadData, match=says):
        store.put("annotations", "geo", rows)
    assert not list(root.rglob("*.parquet"))
    assert not (root / "versions").exists()


def test_an_empty_table_needs_its_schema(store: Store) -> None:
    version = store.put("annotations", "geo", [], schema=TABLE.schema)
    assert store.get(version).equals(TABLE.slice(0, 0))


def test_keys_that_come_late_in_the_first_records_are_columns(store: Store) -> None:
    assert store.get(store.put("annotations", "geo", [{"a": 1}, {"b": 2}])).to_pylist() == [
        {"a": 1, "b": None},
        {"a": None, "b": 2},
    ]


@pytest.mark.parametrize("config", [{"a": float("nan")}, {"a": {1, 2}}, {"a": Path("x")}], ids=["nan", "set", "path"])
def test_a_config_that_json_cannot_hold_is_refused(store: Store, config: dict[str, Any]) -> None:
    with pytest.raises(errors.BadData, match="plain JSON"):
        store.put("annotations", "geo", ROWS, config=config)


def test_new_columns_may_come(store: Store) -> None:
    store.put("annotations", "geo", ROWS)
    store.put("annotations", "geo", [{"id": "p1", "text": "t", "support": 3}])
    got = storage.sql("SELECT id, support FROM annotations_versions ORDER BY _version, id", store).fetchall()
    assert got == [("p1", None), ("p2", None), ("p1", 3)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param([{"id": "p1"}], "lost text", id="lost"),
        pytest.param([{"id": 1, "text": "x"}], "id was string, is int64", id="retyped"),
    ],
)
def test_columns_may_not_go_or_change(store: Store, rows: Any, says: str) -> None:
    store.put("annotations", "geo", ROWS)
    with pytest.raises(errors.SchemaMismatch, match=f"{says}.*Had: id string, text string. Got: "):
        store.put("annotations", "geo", rows)
    assert store.latest("annotations", "geo").seq == 1


def test_a_column_that_was_all_null_may_get_its_type(store: Store) -> None:
    store.put("annotations", "geo", [{"id": "p1", "text": None}])
    assert store.put("annotations", "geo", ROWS).seq == 2


BAD = ["a/b", "..", "", ".hidden", "x" * 300, "a b", "a\x00b", "ü", "-x", "a\n"]


@pytest.mark.parametrize("name", BAD, ids=repr)
def test_a_name_that_is_no_file_name_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    with pytest.raises(errors.BadName, match="cannot be used"):
        store.put("annotations", name, ROWS)
    with pytest.raises(errors.BadName, match="cannot be used"):
        store.put(name, "geo", ROWS)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["versions", "lineage", "tags", "x_versions", "x_open", "Kind", "1x", "a-b"])
def test_a_kind_that_is_no_view_is_refused(store: Store, kind: str) -> None:
    with pytest.raises(errors.BadName, match="kind"):
        store.put(kind, "geo", ROWS)


@pytest.mark.parametrize("ref", ["", "x", "a/b/c", "a/b@0", "a/b@x", "a/b@1:t", "a/b@99999999999", "../x/y", "a/b:"])
def test_a_reference_that_is_none_is_refused(store: Store, ref: str) -> None:
    with pytest.raises(errors.BadName):
        store.at(ref)


def test_what_is_missing_is_named_with_what_there_is(store: Store) -> None:
    with pytest.raises(errors.NotFound, match="it has: nothing yet"):
        store.get("annotations/geo")
    store.put("annotations", "geo", ROWS)
    with pytest.raises(errors.NotFound, match="it has: annotations/geo"):
        store.get("annotations/geometry")
    with pytest.raises(errors.NotFound, match="has versions 1 to 1"):
        store.get("annotations/geo@2")


def test_a_failing_iterator_leaves_nothing_visible(store: Store, root: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from ({"i": i} for i in range(20_000))
        raise RuntimeError("the teacher hung up")

    with pytest.raises(RuntimeError, match="hung up"):
        store.put("trajectories", "x", rows())
    assert [f for f in root.rglob("*") if f.is_file()] == []


def test_the_store_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage.open_store().put("problems", "a", ROWS)
    assert (tmp_path / ".perception-r1/versions/problems/a/00000001.json").exists()
    monkeypatch.setenv("PERCEPTION_R1_STORE", str(tmp_path / "elsewhere"))
    storage.open_store().put("problems", "a", ROWS)
    assert (tmp_path / "elsewhere/versions/problems/a/00000001.json").exists()


def test_a_dataset_is_the_arrow_table_itself(store: Store) -> None:
    found = store.dataset(store.put("annotations", "geo", ROWS))
    assert found[0] == ROWS[0]
    assert found.num_rows == 2


def test_a_store_of_another_layout_is_refused(store: Store, root: Path) -> None:
    from storage.artifact import seal

    root.mkdir()
    (root / "store.json").write_bytes(seal({"format": 99}))
    with pytest.raises(errors.Damaged, match="layout"):
        store.put("annotations", "geo", ROWS)


def test_threads_that_share_a_handle_leave_no_gap(store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: store.put("rollouts", "x", [{"i": i}]), range(60)))
    assert store.versions.seqs("rollouts", "x") == list(range(1, 61))


def test_a_parent_is_a_version_of_this_store(store: Store, tmp_path: Path) -> None:
    stranger = storage.open_store(tmp_path / "other").put("problems", "geo", ROWS)
    with pytest.raises(errors.NotFound):
        store.put("annotations", "geo", ROWS, parents=[stranger])
    store.put("problems", "geo", [{"id": "another"}])
    with pytest.raises(errors.NotFound, match="is another one"):
        store.put("annotations", "geo", ROWS, parents=[stranger])


def test_a_wrong_column_is_not_damage(store: Store) -> None:
    version = store.put("annotations", "geo", ROWS)
    assert store.get(version, columns=["text"]).column_names == ["text"]
    with pytest.raises(errors.BadData, match="has no column 'nope'; it has: id, text"):
        store.get(version, columns=["nope"])


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pl.Series(["x", "y", None], dtype=pl.Categorical), id="polars-categorical"),
        pytest.param(pl.Series(["x", "y", None], dtype=pl.Enum(["x", "y"])), id="polars-enum"),
    ],
)
def test_categories_are_their_texts(store: Store, column: pl.Series) -> None:
    version = store.put("annotations", "geo", pl.DataFrame({"a": column}))
    assert store.get(version)["a"].to_pylist() == ["x", "y", None]


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("s"),
        pa.list_(pa.timestamp("s", "UTC"), 1),
        pa.struct([("t", pa.time32("s"))]),
        pa.duration("s"),
        pa.list_(pa.duration("ns")),
    ],
    ids=str,
)
def test_times_come_back_and_verify(store: Store, kind: pa.DataType) -> None:
    value = (
        [1]
        if pa.types.is_nested(kind) and not pa.types.is_struct(kind)
        else {"t": 1}
        if pa.types.is_struct(kind)
        else 1
    )
    plain = pa.array([value], pa.list_(pa.int64(), 1) if pa.types.is_fixed_size_list(kind) else None)
    table = pa.table({"when": pa.array([value], kind) if not pa.types.is_fixed_size_list(kind) else plain.cast(kind)})
    assert store.get(store.put("annotations", "geo", table)).num_rows == 1
    assert storage.verify(store) == []


@pytest.mark.parametrize("kind", [pa.list_view(pa.int64()), pa.large_list_view(pa.int64())], ids=str)
def test_types_that_arrow_cannot_cast_are_refused_by_name(store: Store, kind: pa.DataType) -> None:
    with pytest.raises(errors.BadData, match=r"column 'a' has type .*list_view"):
        store.put("annotations", "geo", pa.table({"a": pa.array([[1]], kind)}))


@pytest.mark.parametrize(
    "image", [[b"x" * 2000], {"bytes": b"x" * 2000, "path": None}], ids=["list", "datasets-struct"]
)
def test_images_inside_lists_and_structs_lie_in_small_groups_too(store: Store, image: Any) -> None:
    metadata = pq.read_metadata(store.path(store.put("images", "x", [{"id": i, "image": image} for i in range(300)])))
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [128, 128, 44]
    leaf = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).physical_type == "BYTE_ARRAY")
    assert metadata.row_group(0).column(leaf).compression == "UNCOMPRESSED"


def test_inner_fields_that_come_late_are_refused_not_dropped(store: Store) -> None:
    rows = [{"rewards": {"accuracy": 1.0}}] * 9000 + [{"rewards": {"accuracy": 1.0, "format": 1.0}}]
    with pytest.raises(errors.SchemaMismatch, match=r"inner fields \['format'\]"):
        store.put("rollouts", "x", rows)


@pytest.mark.parametrize(
    "rows",
    [[{1: 2}], [{"a": 1}, None], [{"a": "\ud800"}], [{"a": {}}]],
    ids=["number-key", "none", "surrogate", "empty-struct"],
)
def test_strange_records_are_bad_data(store: Store, rows: Any) -> None:
    with pytest.raises(errors.BadData):
        store.put("rollouts", "x", rows)


def test_an_empty_dataset_says_its_columns(store: Store) -> None:
    version = store.put("annotations", "geo", datasets.Dataset(TABLE).select([]))
    assert store.get(version).column_names == ["id", "text"]


def test_a_type_is_remembered_through_a_version_that_was_all_null(store: Store) -> None:
    store.put("annotations", "geo", [{"id": 1}])
    store.put("annotations", "geo", [{"id": None}])
    with pytest.raises(errors.SchemaMismatch, match="id was int64, is string"):
        store.put("annotations", "geo", [{"id": "x"}])


def test_artifacts_can_be_members_of_a_set(store: Store) -> None:
    version = store.put("annotations", "geo", ROWS, config={"a": [1]})
    assert {version, store.at(version.version)} == {version}


@pytest.mark.parametrize("name", [None, 3, b"x"], ids=repr)
def test_a_name_that_is_no_text_is_refused(store: Store, name: Any) -> None:
    for put in (
        lambda: store.put("annotations", name, ROWS),
        lambda: store.put(name, "geo", ROWS),
        lambda: store.at(name),
    ):
        with pytest.raises(errors.BadName):
            put()


def test_a_file_where_the_store_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.BadName, match="file is a file, and a store is a folder"):
        storage.open_store(tmp_path / "file")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "objects").touch()
    with pytest.raises(errors.Unwritable, match="a file is where a folder should be"):
        storage.open_store(tmp_path / "half").put("problems", "x", ROWS)


def test_another_writers_spelling_of_a_damaged_object_gets_a_record_that_vouches_for_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage import tables

    rows = [{"i": i} for i in range(1000)]
    path = store.path(store.put("problems", "x", rows))
    path.chmod(0o644)
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(tables, "TEXT_GROUP_ROWS", 100)
    again = store.put("problems", "x", rows)
    assert store.get(again).num_rows == 1000
    assert storage.verify(store) == []
