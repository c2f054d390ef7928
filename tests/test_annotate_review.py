"""People judge annotations without knowing where they come from; what they say is counted with its uncertainty."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import storage
from flows.cli import cli
from perception_r1.annotate.review import (
    Review,
    Verdict,
    cohens_kappa,
    drawn,
    findings,
    read_reviews,
    write_sheet,
)
from perception_r1.errors import ConfigError
from perception_r1.records import Annotation, Problem
from perception_r1.table import table_of
from perception_r1.world import charts

PROBLEMS = list(charts.problems("train", 6, 0))


def annotations() -> list[Annotation]:
    kept = [
        Annotation(f"{p.id}#0", p.id, f"Bar A is <{n}>.", "attribute", 2, 3, "", "a model")
        for n, p in enumerate(PROBLEMS)
    ]
    lost = [
        Annotation(f"{p.id}#1", p.id, f"So B is {n}.", "other", 1, 3, "deduction", "a model")
        for n, p in enumerate(PROBLEMS)
    ]
    return [*kept, *lost]


def fill(folder: Path, name: str, verdicts: dict[str, str]) -> Path:
    """The sheet filled in by one person, who judges by what stands in the statement."""
    rows = list(csv.DictReader((folder / "sheet.csv").read_text().splitlines()))
    path = folder / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["code", "statement", "verdict", "note"])
        writer.writeheader()
        for row in rows:
            said = next(verdict for sign, verdict in verdicts.items() if sign in row["statement"])
            writer.writerow({**row, "verdict": said})
    return path


def test_a_sheet_shows_statements_and_pictures_and_nothing_of_their_origin(tmp_path: Path) -> None:
    write_sheet(tmp_path, drawn(annotations(), 8, 0), PROBLEMS, "annotations/x@1")
    page, table = (tmp_path / "sheet.html").read_text(), (tmp_path / "sheet.csv").read_text()
    assert "Bar A is &lt;" in page
    assert page.count("<img") == len({row["annotation"].partition("#")[0] for row in key(tmp_path).values()})
    for secret in ("a model", "deduction", "train-0", "#0", "attribute"):
        assert secret not in page + table
    assert "http" not in page
    with pytest.raises(ConfigError, match="holds a sheet already"):
        write_sheet(tmp_path, drawn(annotations(), 8, 0), PROBLEMS, "annotations/x@1")


def key(folder: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((folder / "key.json").read_text())["codes"]
    return found


def test_a_quarter_of_a_sheet_was_dropped_by_hygiene_and_the_order_tells_nothing() -> None:
    items = drawn(annotations(), 8, 0)
    assert sorted(item.kept for item in items) == [False] * 2 + [True] * 6
    assert [item.kept for item in items] != sorted((item.kept for item in items), reverse=True)
    assert drawn(annotations(), 8, 0) == items != drawn(annotations(), 8, 1)
    assert len(drawn(annotations(), 100, 0)) == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"verdict": "maybe"}, r"A.csv, line 2: verdict 'maybe' is unknown; known: right, wrong, invisible, unsure"),
        ({"code": "zzz"}, r"A.csv, line 2: code 'zzz' is not of this sheet"),
    ],
)
def test_a_sheet_that_is_filled_in_wrongly_is_named_by_its_line(
    tmp_path: Path, change: dict[str, str], told: str
) -> None:
    write_sheet(tmp_path, drawn(annotations(), 4, 0), PROBLEMS, "annotations/x@1")
    rows = list(csv.DictReader((tmp_path / "sheet.csv").read_text().splitlines()))
    with (tmp_path / "A.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerow(rows[0] | change)
    with pytest.raises(ConfigError, match=told):
        read_reviews(tmp_path, [tmp_path / "A.csv"], "annotations/x@1")


def test_a_sheet_comes_back_as_a_table_calculator_writes_it(tmp_path: Path) -> None:
    write_sheet(tmp_path, drawn(annotations(), 12, 0), PROBLEMS, "annotations/x@1")
    rows = list(csv.DictReader((tmp_path / "sheet.csv").read_text().splitlines()))
    assert not [row["code"] for row in rows if not row["code"][0].isalpha()]
    assert all(row["code"] in (tmp_path / "sheet.html").read_text().partition("<small>")[2] for row in rows)
    lines = ["code;statement;verdict;note", *(f"{row['code']};{row['statement']};Right;" for row in rows)]
    (tmp_path / "ann.csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
    assert [r.verdict for r in read_reviews(tmp_path, [tmp_path / "ann.csv"], "annotations/x@1")] == ["right"] * 12


def test_a_statement_is_no_formula(tmp_path: Path) -> None:
    evil = [Annotation("p#0", PROBLEMS[0].id, '=HYPERLINK("http://x")', "text", 1, 1, "", "a model")]
    write_sheet(tmp_path, drawn(evil, 1, 0), PROBLEMS, "annotations/x@1")
    (row,) = csv.DictReader((tmp_path / "sheet.csv").read_text().splitlines())
    assert row["statement"].startswith("'=")


def test_verdicts_of_other_annotations_and_two_sheets_of_one_name_are_refused(tmp_path: Path) -> None:
    write_sheet(tmp_path, drawn(annotations(), 4, 0), PROBLEMS, "annotations/x@1")
    with pytest.raises(ConfigError, match=r"was drawn from annotations/x@1, not from annotations/x@2"):
        read_reviews(tmp_path, [tmp_path / "sheet.csv"], "annotations/x@2")
    with pytest.raises(ConfigError, match="two sheets are called verdicts"):
        read_reviews(tmp_path, [tmp_path / "a" / "verdicts.csv", tmp_path / "b" / "verdicts.csv"], "annotations/x@1")
    (tmp_path / "key.json").write_text("{")
    with pytest.raises(ConfigError, match=r"key\.json is damaged"):
        read_reviews(tmp_path, [], "annotations/x@1")


@pytest.mark.parametrize(
    ("ref", "count", "told"),
    [
        ("problems/x", "8", "problems/x@1 holds no annotations"),
        ("annotations/x", "0", "a sheet of 0 statements is none"),
    ],
)
def test_what_no_sheet_can_be_drawn_from_is_said(tmp_path: Path, ref: str, count: str, told: str) -> None:
    store = storage.open_store(tmp_path / "store")
    problems = store.put("problems", "x", table_of(PROBLEMS, Problem))
    store.put("annotations", "x", table_of(annotations(), Annotation), parents=[problems])
    words = ["--store", str(tmp_path / "store"), "review", "sheet", ref, str(tmp_path / "sheets"), "--count", count]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code != 0
    assert told in done.output + str(done.exception)


def reviewed(who: str, *verdicts: Verdict, kept: bool = True) -> list[Review]:
    return [Review(who, f"{kept} {n}", "length", kept, verdict, "") for n, verdict in enumerate(verdicts)]


def test_shares_and_agreement_by_hand() -> None:
    one = reviewed("A", "right", "right", "wrong", "unsure", "right")
    other = reviewed("B", "right", "wrong", "wrong", "right", "right")
    rows = {row.what: row for row in findings([*one, *other, *reviewed("A", "right", "invisible", kept=False)])}
    assert (rows["kept and right"].n, rows["kept and right"].k) == (5, 3), "an annotation counts once"
    assert rows["kept and right: length"].share == pytest.approx(3 / 5)
    assert (rows["dropped though right"].n, rows["dropped though right"].k) == (2, 1)
    assert (rows["A and B agree"].n, rows["A and B agree"].share) == (5, 0.6)
    assert rows["Cohen's kappa of A and B"].share == pytest.approx((0.6 - 0.44) / (1 - 0.44))  # 3/5*3/5 + 1/5*2/5


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [
        ([("a", "a"), ("b", "b")], 1.0),
        ([("a", "b"), ("b", "a")], -1.0),
        ([("a", "a"), ("a", "a")], None),
        ([], None),
        (
            [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15,
            0.4,
        ),  # Cohen's own sort of table
    ],
)
def test_kappa_is_agreement_beyond_chance(pairs: list[tuple[str, str]], kappa: float | None) -> None:
    assert cohens_kappa(pairs) == (None if kappa is None else pytest.approx(kappa))


def test_from_the_store_to_a_sheet_and_back(tmp_path: Path) -> None:
    store = storage.open_store(tmp_path / "store")
    problems = store.put("problems", "x", table_of(PROBLEMS, Problem))
    store.put("annotations", "x", table_of(annotations(), Annotation), parents=[problems])
    words, sheets = ["--store", str(tmp_path / "store"), "review"], tmp_path / "sheets"
    done = CliRunner().invoke(
        cli, [*words, "sheet", "annotations/x", str(sheets), "--count", "8"], catch_exceptions=False
    )
    assert "8 statements" in done.output
    filled = [
        fill(sheets, "ann", {"Bar": "right", "So": "invisible"}),
        fill(sheets, "bob", {"Bar": "right", "So": "right"}),
    ]
    done = CliRunner().invoke(
        cli, [*words, "read", "annotations/x", str(sheets), *map(str, filled)], catch_exceptions=False
    )
    assert "ann and bob agree" in done.output
    kept = store.get("reviews/x").to_pylist()
    assert len(kept) == 16
    assert {row["reviewer"] for row in kept} == {"ann", "bob"}
