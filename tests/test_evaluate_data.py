"""What a run's key knows of the files that a configuration names: their content, and nothing of where they are."""

import shutil
from pathlib import Path

from perception_r1.benchmarks import mathvista
from perception_r1.benchmarks.fixtures import laid_out
from perception_r1.sections import Data, Demonstrations, Evaluate
from tasks.evaluate_data import files_identity, rows_identity


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
