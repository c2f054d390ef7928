"""What the documents name exists: every command, every file; and the README's Python runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import storage
from flows.cli import cli
from storage.records import write_catalog

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"perception-r1 (?:--store \S+ )?([a-z]+)", document.read_text()))
    assert named <= cli.commands.keys()


def test_every_command_is_in_the_readme_or_the_stores_page() -> None:
    text = "".join(path.read_text() for path in DOCUMENTS)
    assert [name for name in cli.commands if f"perception-r1 {name}" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_linked_exists(document: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert "annotations/demo@2" in done.stdout, done.stderr
    store = storage.open_store(tmp_path / ".perception-r1")
    assert storage.why(store, "annotations/demo").config == (storage.Change("min_support", 1, 2),)


def test_the_layout_page_names_every_folder_of_a_store(store: storage.Store, root: Path, tmp_path: Path) -> None:
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/model").write_bytes(b"m")
    version = store.put("checkpoint", "x", tmp_path / "ck")
    (
        store.get(version),
        store.tag(version, "t"),
        store.versions.expire([], "now"),
        storage.write_database(store),
        write_catalog(store),
    )
    storage.stage(store, "annotate", [], {}, lambda work: {"problems/x": [{"id": 1}]})
    storage.Log(root / "logs/rollouts/x/run").close()
    page = (ROOT / "docs/store.md").read_text()
    assert [path.name for path in root.iterdir() if path.name not in page] == []


def test_the_sheet_of_the_judges_page_asks_each_pair_once_and_names_its_arm(tmp_path: Path) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "validate.md").read_text(), re.DOTALL)
    store = storage.open_store(tmp_path)
    facts = [{"problem": "p", "text": "Bar A is 7.", "dropped": ""}, {"problem": "p", "text": "x", "dropped": "vague"}]
    store.put("annotations", "w", facts)
    said = [(1, "same"), (1, "first"), (5, "middle"), (9, "last"), (9, "same")]
    rows = [{"step": step, "problem": "p", "text": text, "truncated": False} for step, text in said]
    store.put("rollouts", "w-accuracy-seed0", [*rows, {"step": 9, "problem": "p", "text": "cut", "truncated": True}])
    found = storage.sql(query, store).fetchall()
    assert {row[:5] for row in found if row[0] != "same"} == {
        ("first", "Bar A is 7.", "", "", "base"),
        ("last", "Bar A is 7.", "", "", "w-accuracy-seed0"),
    }
    assert len(found) == 3, "a response of both models is asked about once"
