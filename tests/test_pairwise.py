"""All models against each other: cells from combinations as from items, and one family for all."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from flows.cli import cli
from perception_r1.compare import pairwise_mcnemar

MODELS = ("a", "b", "c")


def outcomes(items: int, seed: int) -> dict[str, list[bool | None]]:
    rng = random.Random(seed)
    return {
        name: [rng.choice([True] * (3 + 2 * place) + [False] * 4 + [None]) for _ in range(items)]
        for place, name in enumerate(MODELS)
    }


def write(folder: Path, benchmark: str, model: str, right: list[bool | None]) -> None:
    items = [f"{benchmark}-{i}" for i in range(len(right))]
    same = {"benchmark": [benchmark] * len(right), "model": [model] * len(right)}
    table = pa.table({**same, "item": items, "correct": pa.array(right, pa.bool_())})
    pq.write_table(table, folder / f"{benchmark}-{model}.parquet")


def test_pairs_from_files_are_pairs_of_items(tmp_path: Path) -> None:
    studies = {"maths": outcomes(400, 1), "charts": outcomes(300, 2)}
    for benchmark, models in studies.items():
        for model, right in models.items():
            write(tmp_path, benchmark, model, right)
    asked = ["mcnemar", "--parquet", str(tmp_path / "*.parquet"), "--id", "item"]
    found = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).output)
    assert len(found) == 6
    for test in found:
        models = studies[test["benchmark"]]
        pairs = list(zip(models[test["first"]], models[test["second"]], strict=True))
        table = [
            [pairs.count((True, True)), pairs.count((True, False))],
            [pairs.count((False, True)), pairs.count((False, False))],
        ]
        assert [[test["a"], test["b"]], [test["c"], test["d"]]] == table
        assert test["items_left_out"] == sum(None in pair for pair in pairs)
        assert test["p_exact"] == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-10)
    holm = multipletests([test["p_exact"] for test in found], method="holm")[1]
    assert [test["p_holm"] for test in found] == pytest.approx(list(holm))
    assert "6 exact tests, Holm as one family" in CliRunner().invoke(cli, asked).output


def test_files_without_names_of_models_go_by_their_own(tmp_path: Path) -> None:
    for name, right in (("one", [True, False]), ("two", [True, True])):
        pq.write_table(pa.table({"id": ["x", "y"], "correct": right}), tmp_path / f"{name}.parquet")
    found = json.loads(CliRunner().invoke(cli, ["mcnemar", "--parquet", str(tmp_path / "*"), "--json"]).output)
    assert [(t["first"], t["second"], t["a"], t["b"], t["c"], t["d"]) for t in found] == [("one", "two", 1, 0, 1, 0)]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        pytest.param("no*.parquet", "names no two files of different models", id="none"),
        pytest.param("maths-a.parquet", "names no two files of different models", id="one"),
        pytest.param("*.parquet", "are both of a on maths", id="twice"),
    ],
)
def test_files_that_make_no_pairs_are_refused(tmp_path: Path, pattern: str, said: str) -> None:
    write(tmp_path, "maths", "a", [True, False])
    (tmp_path / "copy.parquet").write_bytes((tmp_path / "maths-a.parquet").read_bytes())
    result = CliRunner().invoke(cli, ["mcnemar", "--parquet", str(tmp_path / pattern), "--id", "item"])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_no_studies_make_no_tests() -> None:
    assert pairwise_mcnemar({}) == []
    assert pairwise_mcnemar({"x": (["alone"], [(1, 1, 5)])}) == []


def test_models_that_never_differ_have_p_1() -> None:
    (found,) = pairwise_mcnemar({"x": (["a", "b"], [(0b11, 0b11, 5), (0, 0b11, 7)])})
    assert (found.a, found.b, found.c, found.d, found.p_exact, found.p_holm) == (5, 0, 0, 7, 1.0, 1.0)
