"""The commands: human tables, --json for machines, one clear line when something is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import storage
from flows.cli import cli
from storage import Store


@pytest.fixture
def filled(store: Store) -> Store:
    store.put("problems", "geo", [{"id": "p1"}])
    store.put("annotations", "geo", [{"id": "a1", "text": "AB is [bold]5"}], parents=["problems/geo"], config={"k": 1})
    store.put("annotations", "geo", [{"id": "a1", "text": "AB is 6"}], parents=["problems/geo"], config={"k": 2})
    return store


def ask(root: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--store", str(root), *words], catch_exceptions=False)


def test_artifacts_lists_the_newest_of_each_name(filled: Store, root: Path) -> None:
    shown = ask(root, "artifacts").output
    assert "annotations/geo@2" in shown and "annotations/geo@1" not in shown and "problems/geo@1" in shown
    assert "annotations/geo@1" in ask(root, "artifacts", "annotations", "--all").output
    assert [row["version"] for row in json.loads(ask(root, "artifacts", "--json").output)] == [
        "annotations/geo@2",
        "problems/geo@1",
    ]


@pytest.mark.parametrize("command", ["artifacts", "verify", "du", "gc"])
def test_an_empty_store_is_no_error(root: Path, command: str) -> None:
    done = ask(root, command)
    assert done.exit_code == 0
    assert done.output.strip()


def test_an_empty_store_says_how_it_fills(root: Path) -> None:
    assert "It fills when a stage runs" in ask(root, "artifacts").output
    assert json.loads(ask(root, "artifacts", "--json").output) == []
    assert not root.exists()


def test_show_shows_record_and_rows(filled: Store, root: Path) -> None:
    shown = ask(root, "show", "annotations/geo@1").output
    assert "problems/geo@1" in shown and "AB is [bold]5" in shown
    assert json.loads(ask(root, "show", "annotations/geo", "--json").output)["config"] == {"k": 2}


def test_lineage_is_a_tree_a_graph_or_json(filled: Store, root: Path) -> None:
    assert "problems/geo@1" in ask(root, "lineage", "annotations/geo").output
    assert ask(root, "lineage", "annotations/geo", "--dot").output.startswith("digraph")
    down = json.loads(ask(root, "lineage", "problems/geo", "--down", "--json").output)
    assert down["arrows"]["problems/geo@1"] == ["annotations/geo@1", "annotations/geo@2"]


def test_a_tree_opens_each_version_once_and_says_where(filled: Store, root: Path) -> None:
    filled.put("rollouts", "x", [{"id": 1}], parents=["annotations/geo@1", "problems/geo@1"])
    filled.put("rollouts", "y", [{"id": 1}], parents=["rollouts/x@1"])
    lines = ask(root, "lineage", "problems/geo", "--down").output.splitlines()
    opened = next(i for i, line in enumerate(lines) if line.endswith("rollouts/x@1"))
    again = next(i for i, line in enumerate(lines) if line.endswith("rollouts/x@1 (see above)"))
    assert opened < again


def test_json_has_null_for_what_it_has_no_word_for(filled: Store, root: Path) -> None:
    assert json.loads(ask(root, "sql", "SELECT 'nan'::DOUBLE AS x", "--json").output) == [{"x": None}]


def test_diff_and_why(filled: Store, root: Path) -> None:
    shown = ask(root, "diff", "annotations/geo@1", "annotations/geo@2").output
    assert "0 rows added, 0 rows removed, 1 row changed" in shown and "AB is [bold]5" in shown
    assert json.loads(ask(root, "diff", "annotations/geo@1", "annotations/geo", "--json").output)["rows_changed"] == 1
    assert "config k: 1 → 2" in ask(root, "why", "annotations/geo").output
    assert json.loads(ask(root, "why", "annotations/geo", "--json").output)["config"] == [
        {"what": "k", "before": 1, "after": 2}
    ]


def test_sql_prints_json_and_writes_files(filled: Store, root: Path, tmp_path: Path) -> None:
    assert json.loads(ask(root, "sql", "SELECT id FROM annotations", "--json").output) == [{"id": "a1"}]
    assert "a1" in ask(root, "sql", "SELECT id FROM annotations").output
    ask(root, "sql", "SELECT id FROM annotations", "--out", str(tmp_path / "x.csv"))
    assert (tmp_path / "x.csv").read_text() == "id\na1\n"
    piped = CliRunner().invoke(cli, ["--store", str(root), "sql", "-", "--json"], input="SELECT 1 AS one")
    assert json.loads(piped.output) == [{"one": 1}]


def test_tag_export_import_catalog(filled: Store, root: Path, tmp_path: Path) -> None:
    assert "annotations/geo:published is annotations/geo@1" in ask(root, "tag", "annotations/geo@1", "published").output
    ask(root, "export", "annotations/geo:published", str(tmp_path / "a.tar"))
    assert "imported annotations/geo@1" in ask(tmp_path / "other", "import", str(tmp_path / "a.tar")).output
    ask(root, "untag", "annotations/geo:published")
    assert storage.sql("FROM tags", filled).fetchall() == []
    assert "catalog.duckdb" in ask(root, "catalog").output


def test_checkout_lays_a_folder_out(store: Store, root: Path, tmp_path: Path) -> None:
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/model").write_bytes(b"weights")
    store.put("checkpoint", "seed0", tmp_path / "ck")
    assert ask(root, "checkout", "checkpoint/seed0", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out/model").read_bytes() == b"weights"


def test_verify_exits_with_1_when_something_is_damaged(filled: Store, root: Path) -> None:
    assert "is whole" in ask(root, "verify").output
    path = filled.path(filled.at("annotations/geo"))
    path.unlink()
    done = ask(root, "verify", "--json")
    assert done.exit_code == 1
    assert path.name in json.loads(done.output)[0]["what"]


def test_gc_says_first_and_does_then(filled: Store, root: Path) -> None:
    said = ask(root, "gc", "--keep", "1", "--grace-hours", "-1")
    assert "annotations/geo@1" in said.output and "Nothing was touched" in said.output
    assert json.loads(ask(root, "gc", "--keep", "1", "--grace-hours", "-1", "--delete", "--json").output)[
        "versions"
    ] == ["annotations/geo@1"]
    assert "collected by gc" in ask(root, "show", "annotations/geo@1").output


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "flows", "--store", root, *words], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        pytest.param(("show", "annotations/none"), 2, "annotations/none does not exist", id="no-such-version"),
        pytest.param(("show", "etc"), 2, "expected kind/name", id="no-reference"),
        pytest.param(("sql", "DROP TABLE x"), 2, "expected one SELECT", id="sql-that-writes"),
        pytest.param(("sql", "SELECT * FROM nothing"), 2, "this cannot be asked", id="sql-that-fails"),
        pytest.param(
            ("sql", "SELECT CAST(version AS INT) FROM versions"), 2, "Conversion Error", id="sql-that-fails-late"
        ),
        pytest.param(("diff", "annotations/geo@1", "problems/geo", "--key", "x"), 1, "no column x", id="no-key"),
        pytest.param(("export", "annotations/geo", "x.xlsx"), 1, "must end in", id="no-format"),
        pytest.param(("frobnicate",), 2, "No such command", id="no-command"),
        pytest.param(("gc", "--keep", "0"), 2, "0 is not in the range", id="keep-nothing"),
    ],
)
def test_a_mistake_is_one_clear_line(filled: Store, root: Path, words: tuple[str, ...], code: int, says: str) -> None:
    done = run(root, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("--debug", "show", "annotations/none"), ("show", "annotations/none", "--debug")])
def test_debug_shows_the_trace_wherever_it_stands(root: Path, words: tuple[str, ...]) -> None:
    done = run(root, *words)
    assert "Traceback" in done.stderr
    assert done.returncode == 2


def test_help_imports_nothing_heavy(root: Path) -> None:
    script = (
        "import sys\nfrom flows.cli import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'pyarrow', 'duckdb', 'numpy', 'rich', 'prefect', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stdout[-500:]
