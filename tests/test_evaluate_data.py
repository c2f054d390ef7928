"""What a run's key knows of the files that a configuration names: their content, and nothing of where they are."""

import shutil
from pathlib import Path

import pytest

import tasks.evaluate
from perception_r1.benchmarks import mathvista, world
from perception_r1.benchmarks.fixtures import laid_out
from perception_r1.config import load
from perception_r1.errors import ConfigError
from perception_r1.records import Annotation
from perception_r1.sections import Data, Demonstrations, Evaluate
from perception_r1.table import table_of
from storage import Store, open_store
from tasks.evaluate_data import files_identity, rows_identity
from tasks.job import Job


def settings(**data: object) -> Evaluate:
    return Evaluate(benchmarks=("mathvista",), data={"mathvista": Data(**data)})  # type: ignore[arg-type]


def test_two_folders_of_one_content_are_one_cause_and_a_changed_one_is_another(tmp_path: Path) -> None:
    here = laid_out(mathvista.DATA, tmp_path / "here")
    shutil.copytree(here.path, tmp_path / "there")
    one, other = (
        rows_identity(settings(path=path, rows=8), "mathvista") for path in (here.path, str(tmp_path / "there"))
    )
    assert one == other and str(tmp_path) not in str(one)
    (file,) = (tmp_path / "there").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-8] + b"XXXXPAR1")
    assert rows_identity(settings(path=str(tmp_path / "there"), rows=8), "mathvista") != one


def test_files_beside_the_rows_of_a_local_copy_are_no_cause(tmp_path: Path) -> None:
    data = laid_out(mathvista.DATA, tmp_path)
    before = rows_identity(settings(path=data.path), "mathvista")
    (Path(data.path) / "README.md").write_text("notes")
    assert rows_identity(settings(path=data.path), "mathvista") == before


def test_a_commit_is_a_cause_by_its_name() -> None:
    one, other = (rows_identity(settings(revision=commit), "mathvista") for commit in ("0123", "4567"))
    assert one != other and one["path"] == ""


def test_captions_facts_and_examples_are_causes_by_their_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path in (first, second):
        path.write_text('{"item": "1", "caption": "a bar"}\n')
    one, other = (files_identity(settings(captions=str(path)), "mathvista") for path in (first, second))
    assert one == other
    second.write_text('{"item": "1", "caption": "a line"}\n')
    assert files_identity(settings(captions=str(second)), "mathvista") != one
    assert files_identity(settings(facts=str(first)), "mathvista") != one


def test_a_bank_counts_only_where_examples_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    path.write_text("{}\n")
    shown, hidden = (Evaluate(demonstrations=Demonstrations(shots=n, bank=str(path))) for n in (1, 0))
    assert files_identity(hidden, "world") == files_identity(Evaluate(), "world")
    told = files_identity(shown, "world")
    path.write_text("{} \n")
    assert files_identity(shown, "world") != told


def annotation(problem: str, text: str, dropped: str = "") -> Annotation:
    return Annotation(f"{problem}-{text}", problem, text, "length", 1, 1, dropped, "by hand")


def asked(store: Store, *overrides: str) -> tuple[str, str]:
    """Evaluates the embedded teacher on a few charts, and returns the run's key and its predictions."""
    words = ["evaluate.items=6", "evaluate.judge='judge'", *overrides]
    job = Job(load(Path("configs/embedded.toml"), overrides=words), store, "perception-r1 evaluate")
    made = tasks.evaluate.evaluate.fn(job, "teacher", 0, None, "world").predictions
    return str(made.run), made.version


@pytest.mark.slow
def test_annotations_of_the_store_are_read_and_are_parents_of_the_predictions(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    items = list(world.items(6, 0))
    facts = [annotation(item.problem.id, text) for item in items for text in item.facts]
    facts += [annotation(items[0].problem.id, "Bar Z is 3.", "stated in the question")]
    store.put("annotations", "mine", table_of(facts, Annotation))
    where = "evaluate.data.world.facts='annotations/mine'"
    run, version = asked(store, where)
    rows = store.get(version).to_pylist()
    assert [row["facts"] for row in rows] == [len(item.facts) for item in items]
    assert "annotations/mine@1" in {parent.version for parent in store.at(version).parents}
    assert asked(store, where)[0] == run
    store.put("annotations", "mine", table_of(facts[1:], Annotation))
    assert asked(store, where)[0] != run
    assert asked(store, "evaluate.data.world.facts='annotations/mine@1'")[0] == run


def test_annotations_of_other_problems_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.put("annotations", "mine", table_of([annotation("train-1", "AB is 3.")], Annotation))
    with pytest.raises(ConfigError, match=r"no item has annotations: the first item is 'heldout-\S+', .* of 'train-1'"):
        asked(store, "evaluate.data.world.facts='annotations/mine'")
