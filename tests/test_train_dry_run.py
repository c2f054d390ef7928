"""`train --dry-run`: a configuration is tried with its own options, and what the real run needs is said."""

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import cli
from perception_r1.config import load
from perception_r1.errors import ConfigError
from perception_r1.sections import Lora, Train
from perception_r1.train import dry_run
from perception_r1.train.estimate import SIZES, estimate, size_of, table
from tests.training import ROOT

pytestmark = pytest.mark.timeout(600)  # the first test of a process warms a model up

PAPER = ROOT / "configs" / "paper.toml"


@pytest.mark.slow
def test_the_papers_configuration_is_tried_from_end_to_end_without_a_gpu() -> None:
    done = CliRunner().invoke(cli, ["train", "--dry-run", "--config", str(PAPER)])
    assert done.exit_code == 0, done.output
    for expected in (
        "accelerate/fsdp2.yaml --num_processes 8 --mixed_precision bf16",
        "GPUs of this machine: 8",
        "memory of a GPU, reckoned:",
        "16 completions, rewarded for accuracy, format, paper_repetition\n",
        "16 completions, rewarded for accuracy, format, perception, paper_repetition\n",
    ):
        assert expected in done.output


@pytest.mark.slow
def test_an_option_that_the_trainer_refuses_fails_the_dry_run_with_its_cause(tmp_path: Path) -> None:
    config = load(ROOT / "configs" / "embedded.toml", "quick")
    broken = dataclasses.replace(config.train, max_unknown=0.0, prompts_per_step=3, lora=Lora(rank=4))
    installed = not dry_run.lacking(broken)
    told: list[str] = []
    if installed:
        dry_run.checked(dataclasses.replace(config, train=broken), told.append)
        assert "arm accuracy" in told[1]
    else:
        with pytest.raises(ConfigError, match=r"train\.lora needs peft"):
            dry_run.checked(dataclasses.replace(config, train=broken), told.append)


def test_what_the_settings_need_and_is_not_here_is_named() -> None:
    train = Train(
        model="/m", launch="zero3", processes=2, generate_with="vllm_server", lora=Lora(rank=8, quantize="4bit")
    )
    assert set(dry_run.lacking(train)) <= {"peft", "bitsandbytes", "deepspeed", "vllm"}
    assert {"deepspeed", "vllm", "bitsandbytes"} <= set(dry_run.lacking(train))
    said = list(dry_run.facts(train))
    assert any(line.startswith("policy server: vllm serve base --port 8000") for line in said)
    assert "needs deepspeed, which is not installed here" in said


def test_the_papers_job_fits_its_gpus_and_takes_about_as_long_as_it_says() -> None:
    """16 hours on eight A800: 209 s a step."""
    train = load(PAPER).train
    found = estimate(train, SIZES["7B"])
    assert found.states_gb == pytest.approx(8.29 * 16 / 8, rel=1e-3)
    assert found.peak_gb < 80
    assert 150 < found.step_s < 270
    copies = dataclasses.replace(train, launch="ddp")
    assert estimate(copies, SIZES["7B"]).peak_gb > 130


def test_adapters_and_four_bits_need_less() -> None:
    whole = Train(generate_with="transformers")
    adapters = dataclasses.replace(whole, lora=Lora(rank=32))
    bits = dataclasses.replace(whole, lora=Lora(rank=32, quantize="4bit"))
    sizes = [estimate(train, SIZES["3B"]).states_gb for train in (whole, adapters, bits)]
    assert sizes == sorted(sizes, reverse=True) and sizes[1] < sizes[0] / 5


@pytest.mark.parametrize(
    ("model", "size"),
    [("Qwen/Qwen2.5-VL-7B-Instruct", "7B"), ("Qwen/Qwen2.5-VL-32B-Instruct", "32B"), ("some/model", None)],
)
def test_a_model_s_size_is_read_off_its_name(model: str, size: str | None) -> None:
    assert size_of(model) == (SIZES[size] if size else None)


def test_the_table_of_the_documentation_is_the_code_s() -> None:
    text = (ROOT / "docs" / "training.md").read_text()
    for model, gpus, way, peak_gb, fits, step_s in table():
        assert f"| {model} | {gpus} | {way} | {peak_gb:.0f} | {fits} | {step_s:.0f} |" in text
