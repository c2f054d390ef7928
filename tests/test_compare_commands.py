"""The statistics at the prompt: right answers in plain words, and refusals that say what to do."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from flows.cli import cli
from perception_r1.compare import pair_outcomes, read_outcomes


def ask(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def answer(*arguments: str | Path) -> Any:
    result = ask(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Five items: both right q1 and q5, only before q2, only after q3 and q4; in another order the second time."""
    before, after = tmp_path / "before.csv", tmp_path / "after ü.csv"
    before.write_text("id,text,correct\nq1,x,1\nq2,x,true\nq3,x,0\nq4,x,False\nq5,x,1\n")
    after.write_text("\ufeffcorrect,id\r\n1,q5\r\nTRUE,q4\r\n1,q3\r\n0,q2\r\n1,q1\r\n", encoding="utf-8")
    return before, after


def test_two_counts_give_the_tests() -> None:
    found = answer("mcnemar", "--b", "2", "--c", "10")
    exact = found["exact"]
    assert exact == {"pvalue": 158 / 4096, "statistic": 2, "n_discordant": 12, "logp": math.log(158 / 4096)}
    assert found["midp"]["pvalue"] == 92 / 4096
    assert found["odds_ratio"]["odds_ratio"] == 0.2
    assert "difference" not in found


def test_a_p_value_that_no_double_holds_is_written_all_the_same() -> None:
    said = ask("mcnemar", "--b", "0", "--c", "1000000").output
    assert "exact         2.020e-301030" in said  # 2 ** -999,999
    assert "chi squared   < 1e-300" in said
    assert answer("mcnemar", "--b", "0", "--c", "1000000")["exact"]["logp"] == pytest.approx(-999999 * math.log(2))


def test_four_counts_give_the_difference_too() -> None:
    found = answer("mcnemar", "--a", "1", "--b", "1", "--c", "7", "--d", "12")
    assert [round(limit, 3) for limit in found["difference"]["newcombe"]] == [-0.507, -0.026]


def test_the_answer_is_in_plain_words() -> None:
    said = ask("mcnemar", "--a", "20", "--b", "2", "--c", "10", "--d", "18").output
    assert "The models differ on 12 items: 2 go to the first, 10 to the second." in said
    for part in ("0.03857", "0.02246", "44.0%", "60.0%", "-0.1600", "Newcombe"):
        assert part in said


def test_too_few_items_are_called_so() -> None:
    said = ask("mcnemar", "--b", "0", "--c", "3").output
    assert "cannot give an exact p below 0.25" in said
    found = answer("mcnemar", "--b", "0", "--c", "3")
    assert (found["odds_ratio"], found["first_share"]) == (None, [0.0, pytest.approx(1 - 0.025 ** (1 / 3))])


def test_two_files_are_joined_by_id(files: tuple[Path, Path]) -> None:
    assert answer("mcnemar", "--csv", *files)["cells"] == {"a": 2, "b": 1, "c": 2, "d": 0}
    assert (
        "5 items: both right 2, only the first 1, only the second 2, neither 0."
        in ask("mcnemar", "--csv", *files).output
    )


def test_outcomes_may_be_written_as_floats_beside_texts_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "floats.csv"
    path.write_text(f"id,correct,response,\nq1,1.0,{'x' * 200_000},\n\nq2,0.0,,\nq3,1\n")
    assert answer("mcnemar", "--csv", path, path)["cells"] == {"a": 2, "b": 0, "c": 0, "d": 1}


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("problem,hit\np1,1\np2,0\n")
    found = answer("mcnemar", "--csv", path, path, "--id", "problem", "--correct", "hit")
    assert found["cells"] == {"a": 1, "b": 0, "c": 0, "d": 1}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param("id,correct\nq1,1\nq2,1\n", "only in the first: q3, q4, q5", id="items-missing"),
        pytest.param("id,correct\nq1,1\nq9,1\n", "only in the second: q9", id="items-too-many"),
        pytest.param("id,correct\nq1,1\nq1,1\n", "'q1' comes a second time", id="a-repeat"),
        pytest.param(
            "id,correct\nq1,yes\n", "row 1, item 'q1': correct must be 0, 1, true or false, got 'yes'", id="yes"
        ),
        pytest.param("id,correct\nq1,0.5\n", "got '0.5'", id="half"),
        pytest.param("id,correct\nq1,\n", "row 1: correct is empty", id="an-empty-cell"),
        pytest.param("id,correct\nq1\n", "row 1: correct is empty", id="a-short-row"),
        pytest.param("name,correct\nq1,1\n", "no column 'id'; columns: name, correct", id="no-id"),
        pytest.param("id,correct,correct\nq1,1,0\n", "the column 'correct' comes twice", id="a-column-twice"),
        pytest.param("id,text,correct\nq1,a, 1,0\n", "row 1 has 4 values for 3 columns", id="a-comma-unquoted"),
        pytest.param("", "only in the first", id="an-empty-file"),
        pytest.param("id,correct\n\xff\n", "utf-8", id="another-encoding"),
    ],
)
def test_files_that_do_not_pair_are_refused(files: tuple[Path, Path], rows: str, says: str) -> None:
    files[1].write_text(rows, encoding="latin-1")
    result = ask("mcnemar", "--csv", *files)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_refusal_of_many_items_names_a_few() -> None:
    first = {f"q{i:03}": True for i in range(100)}
    with pytest.raises(ValueError, match=r"100 and 1.*only in the first: q001, q002, q003, q004, q005 and 94 more"):
        pair_outcomes(first, {"q000": True})
    with pytest.raises(ValueError, match="no items"):
        pair_outcomes({}, read_outcomes([]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["mcnemar"], "say one of", id="nothing"),
        pytest.param(["mcnemar", "--b", "1", "--c", "2", "--paper"], "say one of", id="two-things"),
        pytest.param(["mcnemar", "--b", "1"], "--b and --c belong together", id="one-count"),
        pytest.param(["mcnemar", "--b", "1", "--c", "2", "--a", "3"], "--a and --d belong together", id="three-counts"),
        pytest.param(["mcnemar", "--b", "-1", "--c", "2"], "b must lie between 0", id="negative"),
        pytest.param(["mcnemar", "--b", "1.5", "--c", "2"], "not a valid integer", id="half"),
        pytest.param(["mcnemar", "--b", "1", "--c", "2", "--alpha", "0"], "alpha must lie", id="alpha"),
        pytest.param(["mcnemar", "--b", "0", "--c", "2", "--alpha", "nan"], "alpha must be finite", id="alpha-nan"),
        pytest.param(["mcnemar", "--a", "0", "--b", "0", "--c", "0", "--d", "0"], "no pair to compare", id="no-items"),
        pytest.param(["mcnemar", "--csv", "a.csv", "b.csv"], "does not exist", id="no-file"),
        pytest.param(["power", "--p10", "0.1", "--p01", "0.1"], "no number of pairs", id="no-effect"),
        pytest.param(["power", "--p10", "0.9", "--p01", "0.2"], "at most 1", id="rates-above-1"),
        pytest.param(["power", "--p10", "nan", "--p01", "0.2"], "p10 must be finite", id="nan"),
        pytest.param(["power", "--p10", "0.1", "--p01", "0.05", "--n", "0"], "n must lie", id="no-n"),
        pytest.param(["power", "--p10", "0.1"], "Missing option '--p01'", id="one-rate"),
    ],
)
def test_wrong_arguments_are_usage_errors(arguments: list[str], says: str) -> None:
    result = ask(*arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_a_study_is_planned() -> None:
    found = answer("power", "--p10", ".10", "--p01", ".05", "--n", "498")
    assert found["sample_size"] == {"connor": 469, "exact_test": 498}
    assert found["power_at_n"]["exact_test"] >= 0.8
    said = ask("power", "--p10", ".20", "--p01", ".04", "--n", "50").output
    assert "76 items (exact test" in said
    assert "0.566" in said


@pytest.mark.parametrize("command", ["mcnemar", "compare"])
def test_the_paper_is_checked(command: str) -> None:
    found = answer(command, "--paper")
    assert [row["holm_exact"] for row in found] == [0.4375, 0.6875, 0.11572265625]
    said = ask(command, "--paper").output
    for part in ("0.1157", "0.566", "none of the three holds at 0.05"):
        assert part in said


@pytest.mark.parametrize("value", [float("nan"), "0", None, 2], ids=repr)
def test_what_is_no_outcome_is_refused_by_item(value: object) -> None:
    with pytest.raises(ValueError, match="the outcome of item 'b' must be True, False, 1 or 0"):
        pair_outcomes({"a": True, "b": value}, {"a": np.True_, "b": 0})  # type: ignore[dict-item]
