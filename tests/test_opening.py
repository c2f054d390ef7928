"""What a run will need later is looked for before it begins: keys, and files of one's own."""

from pathlib import Path

import pytest

from flows.cli import cli
from flows.opening import opened
from perception_r1.errors import ConfigError
from storage.errors import BadName, NotFound
from tasks.pages import SWITCH

JUDGE = "endpoints.judge={model='qwen', base_url='http://127.0.0.1:9/v1', key_variable='JUDGE_KEY'}"


def at(stage: str, store: Path, *overrides: str, force: bool = False) -> str:
    """The command that goes on with the stage."""
    return opened(stage, "configs/embedded.toml", "quick", overrides, str(store), force).command


@pytest.mark.parametrize("stage", ["run", "validate", "train"])
def test_a_key_that_is_not_there_is_missed_before_anything_is_done(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(ConfigError, match="JUDGE_KEY, which is not set; export it"):
        at(stage, tmp_path, JUDGE)
    monkeypatch.setenv("JUDGE_KEY", "secret")
    assert "secret" not in at(stage, tmp_path, JUDGE)


def test_a_key_that_is_not_there_is_missed_before_a_server_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    monkeypatch.setattr("flows.stage_commands._prepare", lambda no_prefect: pytest.fail("Prefect comes first"))
    words = ["--store", str(tmp_path), "run", "--config", "configs/embedded.toml", "--set", JUDGE]
    with pytest.raises(ConfigError, match="JUDGE_KEY, which is not set; export it"):
        cli.main(words, standalone_mode=False)


def test_what_is_wrong_with_a_deployments_parameters_is_a_page_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[tuple[str, str]] = []
    monkeypatch.setattr("tasks.orchestration.publish_markdown", lambda *page: pages.append(page))
    with pytest.raises(ConfigError):
        at("validate", tmp_path, "validate.judging.promt=x")
    ((key, page),) = pages
    assert key == "failure"
    assert page.startswith("# validate failed\n\n**Cause**: configs/embedded.toml: validate.judging.promt is unknown")
    assert f"`perception-r1 --store {tmp_path} validate --config configs/embedded.toml --profile quick --set " in page


def test_a_server_that_shows_no_page_does_not_hide_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(key: str, text: str) -> None:
        raise ConnectionError("All connection attempts failed")

    monkeypatch.setattr("tasks.orchestration.publish_markdown", silent)
    with pytest.raises(ConfigError, match="promt is unknown"):
        at("validate", tmp_path, "validate.judging.promt=x")


def test_an_address_that_is_none_is_missed_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="base_url of qwen is 'localhost:8002/v1'; it must be like http://"):
        at("run", tmp_path, "endpoints.judge={model='qwen', base_url='localhost:8002/v1'}")


def test_a_worker_needs_the_keys_of_its_own_stage_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    for stage in ("annotate", "evaluate", "compare", "report"):
        assert f" {stage} --config configs/embedded.toml" in at(stage, tmp_path, JUDGE)


@pytest.mark.parametrize(
    ("field", "line", "told"),
    [
        pytest.param("evaluate.data.world.facts", '{"item": 1}', "holds no annotations", id="facts"),
        pytest.param("evaluate.data.world.captions", "no json", "holds no captions", id="captions"),
        pytest.param("evaluate.demonstrations", '{"id": 1}', "holds no examples", id="bank"),
    ],
)
def test_a_file_that_evaluation_cannot_read_is_found_before_training(
    field: str, line: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(line + "\n")
    value = f"{{shots=1, bank='{path}'}}" if field.endswith("demonstrations") else f"'{path}'"
    with pytest.raises(ConfigError, match=told):
        at("run", tmp_path / "store", f"{field}={value}", "evaluate.judge='judge'")


def test_annotations_that_are_not_in_the_store_are_missed_before_training(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="annotations/mine"):
        at("run", tmp_path / "store", "evaluate.data.world.facts='annotations/mine@3'", "evaluate.judge='judge'")


def test_facts_that_nobody_reads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nobody reads responses for them; name an endpoint as evaluate.judge"):
        at("run", tmp_path / "store", "evaluate.data.world.facts='annotations/mine@3'")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        pytest.param("nowhere", r"evaluate.data.mathvista.path: there is no \S*nowhere", id="nothing"),
        pytest.param("", "has no Parquet file of testmini; it has no Parquet file", id="empty"),
        pytest.param("rows.csv", "is no folder and none of .parquet, .tsv, .jsonl", id="another-file"),
    ],
)
def test_a_local_copy_that_is_none_is_found_before_training(path: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("pid\n")
    with pytest.raises(ConfigError, match=told):
        at("run", tmp_path / "store", f"evaluate.data.mathvista.path='{tmp_path / path}'")


def test_captions_that_nobody_wrote_are_missed_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="perception-r1 captions mmstar FILE --endpoint NAME writes one"):
        at("run", tmp_path, "evaluate.benchmarks=['mmstar']", "evaluate.conditions=['full','caption']")


@pytest.mark.parametrize("stage", ["run", "evaluate"])
def test_a_vllm_that_is_not_here_is_missed_before_anything_is_done(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.opening.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs vLLM here \(it is not installed\): pip install"):
        at(stage, tmp_path, "evaluate.generate_with='vllm'")
    settings = ("configs/embedded.toml", "quick", ["evaluate.generate_with='vllm'"], str(tmp_path), False)
    assert opened(stage, *settings, elsewhere=True).config.evaluate.generate_with == "vllm"


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(BadName, match="notes is a file, and a store is a folder"):
        at("run", tmp_path / "notes")


def test_who_goes_on_goes_on_as_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    assert at("train", tmp_path, "train.steps=3", force=True) == (
        f"perception-r1 --store {tmp_path} train --config configs/embedded.toml --profile quick --set train.steps=3 "
        "--force --no-prefect"
    )
    monkeypatch.setenv(SWITCH, "on")
    assert at("train", tmp_path).endswith("--profile quick")


@pytest.mark.parametrize("stage", ["run", "validate", "train"])
def test_labels_that_cannot_be_read_are_told_before_anything_is_done(stage: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("response,annotation,label\nBar A is 7.,Bar A is 7.,right\n")
    with pytest.raises(ConfigError, match="line 2: label 'right' is unknown; known: supported, contradicted, absent"):
        at(stage, tmp_path, f"validate.labels='{labels}'")
