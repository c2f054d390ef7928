"""A real vLLM, served and in this process: only where there is one, its CPU build will do, and it is asked for.

    PERCEPTION_R1_VLLM=/its/venv/bin/python python -m pytest tests/test_evaluate_vllm.py

PERCEPTION_R1_VLLM_PATH is the PYTHONPATH that it needs, if any. The second test wants our own libraries beside it: the
CPU build, datasets, scipy and aiohttp in one environment, without torchaudio and torchcodec.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from perception_r1.evaluate.__main__ import evaluate
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.sections import Endpoint
from perception_r1.world import tiny_vlm
from perception_r1.world.warm_start import _texts

ROOT = Path(__file__).resolve().parent.parent
PYTHON = os.environ.get("PERCEPTION_R1_VLLM", "")
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="a test of a real vLLM: PERCEPTION_R1_VLLM names its Python"),
    pytest.mark.timeout(900),
]
START_S = 600.0
# vLLM's attention has no head of 24 dimensions, which is the tiny model's
LARGER = {"HIDDEN": 128, "INTERMEDIATE": 256, "MROPE_SECTIONS": [4, 6, 6]}
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
QUIET |= {"TORCH_COMPILE_DISABLE": "1", "PYTHONPATH": os.environ.get("PERCEPTION_R1_VLLM_PATH", "")}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as larger:
        for name, value in LARGER.items():
            larger.setattr(tiny_vlm, name, value)
        processor = tiny_vlm.new_processor(_texts(0))
        tiny_vlm.save(tiny_vlm.new_model(processor, seed=0), processor, folder)
    sizes = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    sizes |= {"size": {"shortest_edge": 196, "longest_edge": 50_176}}  # vLLM opens a video processor, too
    told = {"video_processor_type": "Qwen2VLVideoProcessor", **sizes}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def address(weights: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--port", str(port), "--served-model-name", "tiny", "--max-model-len", "512", "--enforce-eager"]
    module = "vllm.entrypoints.openai.api_server"
    command = [PYTHON, "-m", module, "--model", str(weights), *words]
    with subprocess.Popen(command, env=os.environ | QUIET) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/v1/models")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(1)
    pytest.fail(f"{url} does not answer within {START_S:.0f} s")


def spec(folder: Path, **rest: object) -> EvalSpec:
    settings = {"model": "base", "seed": 0, "benchmark": "world", "conditions": ("full", "none"), "items": 12}
    settings |= {"items_seed": 0, "batch": 8, "max_tokens": 32}
    return EvalSpec(folder=folder, **{**settings, **rest})  # type: ignore[arg-type]


def answered(folder: Path) -> list[dict[str, object]]:
    return [row for path in sorted((folder / "predictions").glob("*")) for row in pq.read_table(path).to_pylist()]


def test_a_served_vllm_is_evaluated_end_to_end(address: str, tmp_path: Path) -> None:
    evaluate(spec(tmp_path, weights=None, endpoint=Endpoint(model="tiny", base_url=address), digest="tiny"))
    found = answered(tmp_path)
    assert len(found) == 24 and {row["condition"] for row in found} == {"full", "none"}
    assert all(row["status"] != "judge_failed" for row in found)


def test_vllm_in_the_evaluating_process_says_what_transformers_says(weights: Path, tmp_path: Path) -> None:
    for engine, python in (("vllm", PYTHON), ("transformers", sys.executable)):
        told = spec(tmp_path / engine, weights=weights, generator=engine, digest="tiny", samples=1)
        told.folder.mkdir()
        (told.folder / "run.json").write_text(json.dumps(told.as_json()))
        path = os.pathsep.join(filter(None, [str(ROOT), QUIET["PYTHONPATH"]]))
        command = [python, "-m", "perception_r1.evaluate", str(told.folder / "run.json")]
        subprocess.run(command, env=os.environ | QUIET | {"PYTHONPATH": path}, check=True)
    ours, theirs = (answered(tmp_path / engine) for engine in ("transformers", "vllm"))
    assert [row["item"] for row in ours] == [row["item"] for row in theirs] and len(ours) == 36
    pairs = [pair for pair in zip(ours, theirs, strict=True) if not pair[0]["sample"]]
    same = sum(one["response"] == other["response"] for one, other in pairs)
    assert same >= len(pairs) // 2  # an untrained model's ties fall differently in other kernels
