"""prove, rescore, submission, bank and captions, as they are typed."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flows.cli import cli
from perception_r1.benchmarks import mathvista, mmmu, world
from perception_r1.benchmarks.fixtures import laid_out
from perception_r1.errors import ConfigError, EvaluationFailed, PerceptionError
from perception_r1.evaluate.predict import prediction
from perception_r1.evaluate.submission import submission
from perception_r1.records import Prediction
from perception_r1.table import table_of
from perception_r1.world.server import serving
from storage import open_store


def typed(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), catch_exceptions=False)


def predictions(module: Any, folder: Path, responses: list[str]) -> list[Prediction]:
    items = module.items(0, 0, laid_out(module.DATA, folder))
    return [
        prediction(
            model="base",
            seed=0,
            benchmark=module.DATA.name,
            module=module,
            item=item,
            condition="full",
            response=response,
            tokens=1,
            truncated=False,
        )
        for item, response in zip(items, responses, strict=False)
    ]


RESPONSES = [r"\boxed{1.2}", "1000", "<answer>A</answer>", "", "no", r"\boxed{0.45}", "(C)", r"\boxed{29.73}"]


def test_prove_says_how_many_rows_hold() -> None:
    found = {row["benchmark"]: row["rows"] for row in json.loads(typed("prove", "--json").output)}
    assert len(found) == 18 and found["mathvista"] == 8 and found["world"] == 513
    assert "mmstar" in typed("prove", "mmstar").output
    with pytest.raises(ConfigError, match="'mmstr' is unknown; known: dynamath"):
        typed("prove", "mmstr")


def test_rescore_shows_what_each_harness_makes_of_the_same_responses(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    rows = predictions(mathvista, tmp_path / "data", RESPONSES)
    store.put("predictions", "x", table_of(rows, Prediction))
    found = {
        row["harness"]: row
        for row in json.loads(typed("--store", str(tmp_path / "store"), "rescore", "predictions/x", "--json").output)
    }
    assert found["stored"]["accuracy"] == found["ours"]["accuracy"] == sum(bool(row.correct) for row in rows) / 8
    assert found["ours"]["now_right"] == found["ours"]["now_wrong"] == 0
    assert found["strict"]["accuracy"] == 0.0 and found["strict"]["now_wrong"] > 0
    assert "stored" in typed("--store", str(tmp_path / "store"), "rescore", "predictions/x").output


def test_secret_answers_are_not_graded_again(tmp_path: Path) -> None:
    rows = [replace(row, gold="", correct=None) for row in predictions(mathvista, tmp_path / "data", RESPONSES)]
    open_store(tmp_path).put("predictions", "x", table_of(rows, Prediction))
    with pytest.raises(ConfigError, match="no response to an untouched item whose right answer is known"):
        typed("--store", str(tmp_path), "rescore", "predictions/x")


def test_only_predictions_are_graded_again(tmp_path: Path) -> None:
    open_store(tmp_path).put("problems", "x", [{"id": "1"}])
    with pytest.raises(ConfigError, match="problems/x holds problems; expected predictions"):
        typed("--store", str(tmp_path), "rescore", "problems/x")


def test_a_submission_has_the_official_form_and_no_score(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    store.put("predictions", "x", table_of(predictions(mathvista, tmp_path / "data", RESPONSES), Prediction))
    file = tmp_path / "answers.json"
    assert (
        "8 responses of base to mathvista"
        in typed("--store", str(tmp_path / "store"), "submission", "predictions/x", str(file)).output
    )
    told = json.loads(file.read_text())
    assert told["3"] == {"pid": "3", "response": "<answer>A</answer>", "extraction": "A", "prediction": "97"}
    assert told["4"]["extraction"] == "" and "score" not in file.read_text() and "correct" not in file.read_text()


def test_mmmu_is_submitted_as_letters_and_answers(tmp_path: Path) -> None:
    rows = [asdict(row) for row in predictions(mmmu, tmp_path, [r"\boxed{B}", r"\boxed{C}", r"\boxed{7.5}", "", "A"])]
    told = submission("mmmu", rows)
    assert set(told.values()) == {"A", "B", "C", "7.5", ""} or len(told) == 5
    assert all(isinstance(answer, str) for answer in told.values())


def test_a_bank_is_written_from_stored_predictions(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    rows = predictions(mathvista, tmp_path / "data", RESPONSES)
    store.put("predictions", "x", table_of(rows, Prediction), config={"items": 0, "seed": 0, "data": {"path": ["0f"]}})
    words = ["--store", str(tmp_path / "store"), "bank", "predictions/x", str(tmp_path / "bank.jsonl")]
    with pytest.raises(ConfigError, match=r"mathvista was a local copy; .* --config"):
        typed(*words)
    config = tmp_path / "mine.toml"
    embedded = Path("configs/embedded.toml").read_text()
    config.write_text(f"{embedded}\n[evaluate.data.mathvista]\npath = '{tmp_path / 'data'}'\nrows = 8\n")
    answered = [row for row in rows if row.status == "answered"]
    right = sum(bool(row.correct) for row in answered)
    told = f"{len(answered)} examples, {right} of them right, of base on mathvista"
    assert told in typed(*words, "--config", str(config)).output
    held = [json.loads(line) for line in (tmp_path / "bank.jsonl").read_text().splitlines()]
    assert [line["correct"] for line in held] == [row.correct for row in answered]


def test_a_model_that_answered_nothing_makes_no_bank(tmp_path: Path) -> None:
    store, asked = open_store(tmp_path / "store"), {"items": 0, "seed": 0, "data": {}}
    rows = predictions(mathvista, tmp_path / "data", [""] * 8)
    store.put("predictions", "x", table_of(rows, Prediction), config=asked)
    config = tmp_path / "mine.toml"
    embedded = Path("configs/embedded.toml").read_text()
    config.write_text(f"{embedded}\n[evaluate.data.mathvista]\npath = '{tmp_path / 'data'}'\nrows = 8\n")
    words = ["--store", str(tmp_path / "store"), "bank", "predictions/x", str(tmp_path / "bank.jsonl")]
    with pytest.raises(ConfigError, match="base answered none of its questions to mathvista"):
        typed(*words, "--config", str(config))
    assert not list(tmp_path.glob("bank*"))


def test_captions_of_the_world_are_its_facts_in_words(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    words = ["captions", "world", str(file), "--set", "evaluate.items=3"]
    assert "3 captions; then: --set evaluate.data.world.captions=" in typed(*words).output
    assert json.loads(file.read_text().splitlines()[0])["caption"].startswith("Bar A is ")


def test_captions_that_a_kill_left_half_written_are_asked_again_and_no_others(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    with serving() as server:
        model = f"endpoints.words={{model='embedded/teacher', base_url='{server.url}'}}"
        words = ["captions", "world", str(file), "--endpoint", "words", "--set", model, "--set", "evaluate.items=3"]
        with pytest.raises(PerceptionError):  # the teacher knows the world's own questions only
            typed(*words)
        first, second, third = (item.problem.id for item in world.items(3, 0))
        file.write_text(json.dumps({"item": first, "caption": "a"}) + f'\n{{"item": "{second}", "cap')
        before = server.requests
        with pytest.raises(EvaluationFailed, match=r"2 items got no description .* the same command asks the rest"):
            typed(*words)
        assert server.requests == before + 2 and third
    assert file.read_text() == json.dumps({"item": first, "caption": "a"}) + "\n"


def test_a_benchmark_without_captions_of_its_own_needs_a_model(tmp_path: Path) -> None:
    data = laid_out(mathvista.DATA, tmp_path / "data")
    words = ["--set", f"evaluate.data.mathvista={{path='{data.path}', rows={data.rows}}}"]
    with pytest.raises(ConfigError, match="name a model that describes its pictures: --endpoint"):
        typed("captions", "mathvista", str(tmp_path / "x.jsonl"), *words)
    with pytest.raises(ConfigError, match=r"there is no \[endpoints.me\]"):
        typed("captions", "mathvista", str(tmp_path / "x.jsonl"), "--endpoint", "me", *words)


@pytest.mark.parametrize("words", [["bank", "predictions/x"], ["captions", "world"], ["submission", "predictions/x"]])
def test_a_file_in_no_folder_is_refused_before_anything_is_asked(words: list[str], tmp_path: Path) -> None:
    done = typed(*words, str(tmp_path / "nowhere" / "x"))
    assert done.exit_code == 2 and "there is no folder" in done.output
