"""A value that does not fit its column is refused, never cut: what is stored is what was given."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import storage
from storage import Log, Store, errors

LATE = 8192  # the first records say what the columns are


@pytest.mark.parametrize(
    ("first", "late"),
    [
        pytest.param(0, 0.75, id="a-float-among-integers"),
        pytest.param([1], [0.75], id="inside-a-list"),
        pytest.param({"accuracy": 1}, {"accuracy": 0.5}, id="inside-a-struct"),
        pytest.param(dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 13, 5), id="a-time-among-dates"),
        pytest.param(True, 7, id="a-number-among-truths"),
    ],
)
def test_a_late_value_of_another_type_is_refused(store: Store, first: Any, late: Any) -> None:
    with pytest.raises(errors.BadData, match=r"pass schema= for all rows|cannot become column"):
        store.put("rollouts", "x", [{"value": first}] * LATE + [{"value": late}])


@pytest.mark.parametrize(
    "tables",
    [
        pytest.param([pa.table({"a": [{"x": 1}]}), pa.table({"a": [{"x": 2, "z": 5}]})], id="a-new-inner-field"),
        pytest.param([pa.table({"a": [True]}), pa.table({"a": [7]})], id="truths-and-numbers"),
        pytest.param([pa.table({"a": pa.array([1.0], pa.float32())}), pa.table({"a": [0.1]})], id="a-finer-float"),
    ],
)
def test_tables_that_would_change_are_refused(store: Store, tables: list[pa.Table]) -> None:
    with pytest.raises(errors.SchemaMismatch):
        store.put("rollouts", "x", iter(tables))


def test_values_that_fit_are_taken(store: Store) -> None:
    version = store.put("rollouts", "x", [{"v": 0.5, "w": "x"}] * LATE + [{"v": 1, "w": None}, {"v": None, "w": None}])
    assert store.get(version).slice(LATE).to_pylist() == [{"v": 1.0, "w": None}, {"v": None, "w": None}]


def test_a_map_takes_what_it_gives_back(store: Store) -> None:
    schema = pa.schema([("terms", pa.map_(pa.string(), pa.int64()))])
    version = store.put("rollouts", "x", [{"terms": [("a", 1)]}], schema=schema)
    assert store.put("rollouts", "x", store.get(version).to_pylist(), schema=schema) == version


def test_a_log_keeps_rows_in_memory_of_its_own(tmp_path: Path) -> None:
    frame, buffer = pd.DataFrame({"a": [0.0, 1.0]}), np.arange(2.0)
    with Log(tmp_path / "log", flush_s=60) as log:
        log.append(frame)
        log.append(pa.table({"a": pa.array(buffer)}))
        frame.loc[:, "a"] = 99.0
        buffer[:] = 77.0
    with Log(tmp_path / "log") as again:
        assert [row["a"] for batch in again.stream() for row in batch.to_pylist()] == [0.0, 1.0, 0.0, 1.0]


def test_errors_of_the_callers_rows_are_the_callers(store: Store) -> None:
    def rows() -> Any:
        yield {"a": 1}
        raise PermissionError(13, "not yours", "/the/callers/file")

    with pytest.raises(PermissionError, match="not yours"):
        store.put("rollouts", "x", rows())


def test_a_catalogue_that_is_damaged_inside_is_as_good_as_none(store: Store, tmp_path: Path) -> None:
    from storage.records import write_catalog

    for i in range(50):
        store.put("rollouts", "x", [{"i": i}])
    write_catalog(store)
    path = store.place.scratch / "catalog.parquet"
    data = bytearray(path.read_bytes())
    data[200:264] = bytes(64)
    path.write_bytes(data)
    assert [version.seq for version in storage.artifacts(store)] == list(range(1, 51))
