"""One digest a content: blind to chunks, encodings and writers; never blind to a value, a type or an order."""

import datetime as dt
import decimal
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.digest import TableDigest, canonical_schema
from storage.errors import BadData
from storage.tables import as_batches, digest_file, read, stage_table

RICH = pa.table(
    {
        "text": pa.array(["a", "", None, "ü€", "a"]),
        "image": pa.array([b"\x00\x01", b"", None, b"x" * 9, b"\x00\x01"]),
        "count": pa.array([1, -2, None, 4, 5], pa.int32()),
        "score": pa.array([0.5, None, float("nan"), -0.0, 1e300]),
        "right": pa.array([True, False, None, True, True]),
        "when": pa.array([dt.datetime(2026, 1, 2, tzinfo=dt.UTC), None, None, None, None], pa.timestamp("us", "UTC")),
        "price": pa.array([decimal.Decimal("1.25"), None, None, None, None], pa.decimal128(9, 2)),
        "facts": pa.array([["a", None], [], None, ["b"], ["c", "d"]]),
        "box": pa.array([[1, 2], [3, 4], None, [5, None], [7, 8]], pa.list_(pa.int8(), 2)),
        "judge": pa.array(
            [{"id": 1, "verdict": "x"}, None, {"id": None, "verdict": None}, {"id": 2, "verdict": "y"}, None]
        ),
        "terms": pa.array([[("f", 1.0)], [], None, [("a", 0.0), ("b", None)], []], pa.map_(pa.string(), pa.float64())),
        "nothing": pa.nulls(5),
    }
)


def digest(table: pa.Table) -> str:
    schema, batches = as_batches(table)
    result = TableDigest(schema)
    for batch in batches:
        result.update(batch)
    return result.hexdigest()


def test_the_digest_is_pinned() -> None:
    # a change here changes every version of every store: it needs a new layout number
    assert digest(RICH) == "3744e27eebc8bcd01480a84f7d69cfac977d7dfa25e50c024aeda8b1ae009ac9"
    assert (
        digest(pa.table({"a": pa.array([], pa.int64())}))
        == "bb26bc546697c23ba9aacd4d78531a689b0ecb60074e8d139d181f4f8655908f"
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_chunks_do_not_count(size: int) -> None:
    chunked = pa.concat_tables([RICH.slice(start, size) for start in range(0, 5, size)])
    assert digest(chunked) == digest(RICH)
    assert digest(pa.concat_tables([RICH.slice(0, 0), RICH])) == digest(RICH)


@pytest.mark.parametrize(
    ("column", "encoded"),
    [
        ("text", pa.large_string()),
        ("text", pa.string_view()),
        ("text", pa.dictionary(pa.int32(), pa.string())),
        ("text", pa.dictionary(pa.int8(), pa.large_string())),
        ("image", pa.large_binary()),
        ("image", pa.binary_view()),
        ("facts", pa.large_list(pa.large_string())),
        ("facts", pa.list_(pa.field("element", pa.string_view()))),
    ],
    ids=str,
)
def test_encodings_do_not_count(column: str, encoded: pa.DataType) -> None:
    position = RICH.column_names.index(column)
    assert digest(RICH.set_column(position, column, RICH[column].cast(encoded))) == digest(RICH)


def test_run_ends_metadata_and_nullability_do_not_count() -> None:
    plain = pa.table({"a": pa.array([1, 1, 2])})
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1, 2]))
    marked = plain.cast(pa.schema([pa.field("a", pa.int64(), nullable=False)], metadata={"x": "y"}))
    assert digest(pa.table({"a": runs})) == digest(marked) == digest(plain)


@pytest.mark.parametrize("writer", ["pyarrow-v1", "pyarrow-plain", "duckdb", "ours"])
def test_the_parquet_writer_does_not_count(tmp_path: Path, writer: str) -> None:
    rich, path = RICH.drop_columns(["nothing", "box"]), tmp_path / "x.parquet"  # DuckDB writes neither type as it is
    if writer == "duckdb":
        duckdb.sql(f"COPY (FROM rich) TO '{path}' (FORMAT parquet)")
    elif writer == "ours":
        stage_table(path, rich)
    else:
        pq.write_table(rich, path, version="2.4" if "v1" in writer else "2.6", use_dictionary="v1" in writer)
    assert digest_file(path) == digest(rich)


VALUES = {
    "a value": RICH.set_column(0, "text", pa.array(["b", "", None, "ü€", "a"])),
    "null is not empty": RICH.set_column(0, "text", pa.array(["a", None, "", "ü€", "a"])),
    "the order of rows": RICH.take([1, 0, 2, 3, 4]),
    "the order of columns": RICH.select([*RICH.column_names[1:], "text"]),
    "a column's name": RICH.rename_columns(["texts", *RICH.column_names[1:]]),
    "int32 is not int64": RICH.set_column(2, "count", RICH["count"].cast(pa.int64())),
    "text is not bytes": RICH.set_column(0, "text", RICH["text"].cast(pa.binary())),
    "a zero's sign": RICH.set_column(3, "score", pa.array([0.5, None, float("nan"), 0.0, 1e300])),
    "where a list ends": RICH.set_column(7, "facts", pa.array([["a"], [None], None, ["b"], ["c", "d"]])),
    "where a text ends": RICH.set_column(0, "text", pa.array(["", "a", None, "ü€", "a"])),
    "an inner null": RICH.set_column(
        9, "judge", pa.array([{"id": 1, "verdict": "x"}, None, None, {"id": 2, "verdict": "y"}, None])
    ),
    "a row less": RICH.slice(0, 4),
}


@pytest.mark.parametrize("name", VALUES)
def test_everything_a_reader_sees_counts(name: str) -> None:
    assert digest(VALUES[name]) != digest(RICH)


CELLS = st.none() | st.text(max_size=5) | st.just("x" * 300)
ROWS = st.lists(st.tuples(CELLS, st.none() | st.lists(st.none() | st.integers(-5, 5), max_size=3)), max_size=30)


@given(ROWS, ROWS, st.integers(1, 7))
def test_two_tables_have_one_digest_exactly_when_they_are_equal(rows: list, others: list, size: int) -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.list_(pa.int64()))])

    def table(rows: list) -> pa.Table:
        return pa.table([[a for a, _ in rows], [b for _, b in rows]], schema=schema)

    one, other = table(rows), table(others)
    again = pa.concat_tables([one.slice(start, size) for start in range(0, len(rows), size)] or [one])
    assert digest(again) == digest(one)
    assert (digest(one) == digest(other)) == (rows == others)


def test_what_lies_under_a_null_does_not_count() -> None:
    # the same nulls over different bytes, as slices of larger arrays leave them behind
    values, mask = np.array([1, 7, 3]), np.array([False, True, False])
    assert digest(pa.table({"a": pa.array(values, mask=mask)})) == digest(pa.table({"a": pa.array([1, None, 3])}))


def test_a_table_comes_back_as_it_went_in(tmp_path: Path) -> None:
    staged = stage_table(tmp_path / "x.parquet", RICH)
    back = read(tmp_path / "x.parquet")
    assert digest(back) == staged.facts["digest"] == digest(RICH)
    assert back.schema == canonical_schema(RICH.schema)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        pytest.param(pa.table([[1], [2]], names=["a", "a"]), "repeat", id="a-name-twice"),
        pytest.param(pa.table({}), "at least one column", id="no-columns"),
        pytest.param(pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}), "'a'", id="interval"),
    ],
)
def test_what_parquet_cannot_hold_is_refused_by_name(table: pa.Table, says: str) -> None:
    with pytest.raises(BadData, match=says):
        digest(table)
