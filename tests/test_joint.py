"""Combinations over files: counted side by side where the keys lie alike, by key where they do not, refused else."""

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import constants, joint
from storage.errors import BadData

Rows = list[tuple[str, bool | None]]


def write(path: Path, rows: Rows, **options: int) -> Path:
    columns = {"item": [item for item, _ in rows], "correct": pa.array([value for _, value in rows], pa.bool_())}
    pq.write_table(pa.table(columns), path, **options)
    return path


def drawn(models: int, items: int) -> list[Rows]:
    rng = random.Random(1)
    return [[(f"i{i:05}", rng.choice([True, False, None])) for i in range(items)] for _ in range(models)]


def expected(models: list[Rows]) -> Counter[tuple[int, int]]:
    """By hand, with a dictionary."""
    bits: dict[str, list[int]] = {}
    for place, rows in enumerate(models):
        for item, value in rows:
            there = bits.setdefault(item, [0, 0])
            there[0] |= (value is True) << place
            there[1] |= (value is not None) << place
    return Counter((true, known) for true, known in bits.values())


@pytest.mark.parametrize(
    ("shuffled", "groups"), [(False, 0), (False, 700), (True, 0)], ids=["in-order", "row-groups", "shuffled"]
)
def test_every_combination_is_counted(tmp_path: Path, shuffled: bool, groups: int) -> None:
    models = drawn(5, 3000)
    files = []
    for place, rows in enumerate(models):
        order = random.Random(place).sample(rows, len(rows)) if shuffled else rows
        files.append(
            write(tmp_path / f"model {place} [x*].parquet", order, **({"row_group_size": groups} if groups else {}))
        )
    found = joint(files, "item", "correct")
    assert Counter({(row.true_bits, row.known_bits): row.rows for row in found}) == expected(models)


def test_files_with_other_row_groups_are_joined_by_key(tmp_path: Path) -> None:
    models = drawn(2, 2000)
    files = [write(tmp_path / "a.parquet", models[0], row_group_size=300), write(tmp_path / "b.parquet", models[1])]
    found = joint(files, "item", "correct")
    assert Counter({(row.true_bits, row.known_bits): row.rows for row in found}) == expected(models)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        pytest.param([("q1", True)], "'q2' is not in .*b.parquet", id="missing"),
        pytest.param([("q1", True), ("q2", True), ("q3", True)], "'q3' is not in .*a.parquet", id="too-many"),
        pytest.param([("q1", True), ("q2", True), ("q2", True)], "'q2' repeats", id="twice"),
        pytest.param([], "'q1' is not in .*b.parquet", id="empty"),
    ],
)
def test_unequal_keys_are_refused_by_name(tmp_path: Path, second: Rows, said: str) -> None:
    files = [write(tmp_path / "a.parquet", [("q1", True), ("q2", False)]), write(tmp_path / "b.parquet", second)]
    with pytest.raises(BadData, match=said):
        joint(files, "item", "correct")


def test_a_key_that_repeats_in_every_file_alike_is_refused_too(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.parquet", [("q1", True), ("q1", False)]) for name in "ab"]
    with pytest.raises(BadData, match="'q1' repeats"):
        joint(files, "item", "correct")


def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"item": ["q1"], "score": [0.5]}), path)
    with pytest.raises(BadData, match="no column 'correct'; columns: item, score"):
        joint([path], "item", "correct")
    with pytest.raises(BadData, match="score must be true or false, got double"):
        joint([path], "item", "score")
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(BadData, match=r"x\.parquet"):
        joint([tmp_path / "x.parquet"], "item", "correct")
    with pytest.raises(BadData, match="expected 1 to 62 files, got 63"):
        joint([path] * 63, "item", "correct")


def test_columns_with_one_value_are_read_from_the_statistics(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"model": ["a"] * 9, "seed": [3] * 9, "item": list("abcdefghi")}), path, row_group_size=2)
    assert constants(path, ("model", "seed", "benchmark")) == {"model": "a", "seed": 3}
    with pytest.raises(BadData, match="expected one item a file, got a, b, c"):
        constants(path, ("item",))
