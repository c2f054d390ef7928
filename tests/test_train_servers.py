"""Where vLLM generates: the prompts it reads, the server started for it, and the launch of several processes."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from perception_r1.child import PARENT
from perception_r1.errors import TrainingFailed
from perception_r1.models import open_processor, write_pointer
from perception_r1.sections import PolicyServer, Train
from perception_r1.train import base, launch, ledger, preflight, server
from perception_r1.train.settings import vllm_options
from tests.training import planted, ran, warm_base

pytestmark = pytest.mark.timeout(600)  # the first test of a process warms a model up

MARK = 9
PROMPT = [1, MARK, MARK, MARK, 2, MARK, MARK, 3]  # two pictures, of three tokens and of two


class Vllm:
    """What vLLM in process does with a prompt: each mark becomes as many as its picture has tokens."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes

    def generate(self, prompts: Any, images: Any, num_generations: int, profiler: Any = None) -> Any:
        return [self.expanded(ids) for ids in prompts], [[7]] * len(prompts), None, None

    def expanded(self, ids: Sequence[int]) -> list[int]:
        sizes = iter(self.sizes)
        return [token for value in ids for token in ([value] if value != MARK else [value] * next(sizes, 1))]

    def _place_features(self, features: Any, prompt_ids: Any) -> Any:
        return features


def test_vllm_in_process_reads_the_trainer_s_prompt_and_not_one_with_its_pictures_twice() -> None:
    stock, ours = Vllm((3, 2)), Vllm((3, 2))
    with pytest.raises(TrainingFailed, match="another prompt 0 than the trainer: 11 tokens instead of 8"):
        preflight.check_prompts(stock.generate([PROMPT], [[0, 0]], 1)[0], [PROMPT])
    preflight.guard(ours, MARK, colocated=True)
    assert ours.generate([PROMPT], [[0, 0]], 1)[0] == [PROMPT]
    assert ours.generate([[1, 2]], None, 1)[0] == [[1, 2]]


def test_vllm_in_process_with_other_pixel_limits_is_found_before_the_first_step() -> None:
    other = Vllm((4, 2))
    preflight.guard(other, MARK, colocated=True)
    with pytest.raises(TrainingFailed, match="9 tokens instead of 8, differing from token 4"):
        other.generate([PROMPT], [[0, 0]], 1)


def test_a_server_with_other_pixel_limits_is_found_before_the_first_step() -> None:
    vllm = Vllm(())
    preflight.guard(vllm, MARK, colocated=False)
    features = {"mm_placeholders": {"image": [{"offset": 1, "length": 3}, {"offset": 5, "length": 2}]}}
    assert vllm._place_features(features, PROMPT) == features
    features["mm_placeholders"]["image"][1]["length"] = 4
    with pytest.raises(TrainingFailed, match=r"makes \[3, 4\] image tokens .* the trainer \[3, 2\]"):
        vllm._place_features(features, PROMPT)


def test_a_completion_with_a_picture_s_mark_is_refused_before_the_forward_that_it_would_end() -> None:
    preflight.check_completions([[1, 2], [3]], [MARK])
    with pytest.raises(TrainingFailed, match="completion 1 holds the vision token 9"):
        preflight.check_completions([[1, 2], [3, MARK]], [MARK])


def test_pixel_limits_are_written_once_and_read_by_whoever_opens_the_folder(tmp_path: Path) -> None:
    """vLLM is given no limits by TRL 1.16: it knows what the folder's own processor says."""
    from PIL import Image

    plain = planted(tmp_path)
    assert base.base_folder(plain) == plain.base
    spec = replace(plain, train=replace(plain.train, min_pixels=56 * 56, max_pixels=56 * 56))
    folder = base.base_folder(spec)
    picture = Image.new("RGB", (84, 84))

    def tokens(processor: Any) -> int:
        return int(processor.image_processor(images=[picture], return_tensors="pt")["image_grid_thw"].prod()) // 4

    limited = open_processor(spec.base, min_pixels=56 * 56, max_pixels=56 * 56)
    assert tokens(open_processor(folder)) == tokens(limited) == 4
    assert tokens(open_processor(spec.base)) == 9  # what the stock folder would have told vLLM
    assert (folder / "model.safetensors").resolve() == (spec.base / "model.safetensors").resolve()


def test_a_base_that_is_a_pointer_to_a_folder_is_that_folder(tmp_path: Path) -> None:
    pointer = write_pointer(tmp_path / "pointer", str(warm_base()), "")
    spec = replace(planted(tmp_path), base=pointer)
    folder = base.base_folder(spec)
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}


def test_the_policy_s_server_is_started_as_trl_wants_it(tmp_path: Path) -> None:
    settings = PolicyServer(port=8123, tensor_parallel=2)
    train = Train(model="/m", bf16=True, max_pixels=602112, max_prompt_tokens=512, policy_server=settings)
    words = server.command(tmp_path, train, (0, 30))
    said = " ".join(words)
    assert words[:3] == ["vllm", "serve", str(tmp_path)]
    for expected in (
        "--port 8123",
        "--tensor-parallel-size 2",
        "--dtype bfloat16",
        '--weight-transfer-config {"backend": "nccl"}',
        "--logprobs-mode processed_logprobs --max-logprobs -1",
        "--enable-scale-out",
        '--mm-processor-kwargs {"max_pixels": 602112}',
        "--max-model-len 1536",
    ):
        assert expected in said
    assert "--enable-scale-out" not in server.command(tmp_path, train, (0, 28))
    seen = {"PATH": "/bin", "RANK": "0", "MASTER_PORT": "1", "CUDA_VISIBLE_DEVICES": "0", launch.BEHIND: "6,7"}
    around = server.environment(seen)
    assert launch.gpus_of(replace(train, generate_with="vllm_server")) == 3
    assert launch.gpus_of(train) == 1
    assert around == {"PATH": "/bin", launch.BEHIND: "6,7", "CUDA_VISIBLE_DEVICES": "6,7", "VLLM_SERVER_DEV_MODE": "1"}


def test_trainer_and_server_share_out_the_gpus_of_the_lease() -> None:
    alone = Train(model="/m", generate_with="vllm_server", policy_server=PolicyServer(tensor_parallel=2))
    shared = launch.shared_out(alone, ["3", "5", "7"])
    assert shared["CUDA_VISIBLE_DEVICES"] == "3", "of one process that sees two, transformers would copy the model"
    assert server.environment(shared)["CUDA_VISIBLE_DEVICES"] == "5,7"
    two = launch.shared_out(replace(alone, processes=2), ["4", "5", "6", "7", "8"])
    assert (two["CUDA_VISIBLE_DEVICES"], two[launch.BEHIND]) == ("4,5", "6,7")
    colocated = launch.shared_out(replace(alone, generate_with="vllm_colocate"), ["4"])
    assert (colocated["CUDA_VISIBLE_DEVICES"], colocated[launch.BEHIND]) == ("4", "")
    assert launch.shared_out(alone, []) == {}
    second = replace(alone, processes=16, machines=2)
    assert (launch.gpus_of(second), launch.gpus_of(second, "1")) == (10, 8), "the server is on the first machine"


LAUNCHED = """
import json, os, sys
from pathlib import Path
from perception_r1 import gpus
from perception_r1.train import launch
launch.gpus_here = lambda: {"0": "GPU-a", "1": "GPU-b"}
def seen(program, words, around):
    held = [fd for fd in os.listdir("/proc/self/fd") if "GPU-" in os.path.realpath(f"/proc/self/fd/{fd}")]
    told = {name: around.get(name) for name in ("CUDA_VISIBLE_DEVICES", "PERCEPTION_R1_PARENT")}
    print(json.dumps(told | {"held": [os.get_inheritable(int(fd)) for fd in held]}), flush=True)
    sys.stdin.read(1)
    sys.exit()
os.execve = seen
launch.main()
"""


def test_a_run_that_is_launched_by_hand_leases_its_gpus_too(tmp_path: Path) -> None:
    spec = planted(tmp_path)
    path = spec.folder / "RUN.json"
    path.write_text(json.dumps(spec.as_json()))
    around = {name: value for name, value in os.environ.items() if name != PARENT} | {"TMPDIR": str(tmp_path)}

    def launched() -> subprocess.Popen[str]:
        words = [sys.executable, "-c", LAUNCHED, str(path)]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=around)

    one, other = launched(), launched()
    told = [json.loads(each.stdout.readline()) for each in (one, other)]  # type: ignore[union-attr]
    for each in (one, other):
        each.communicate("x")
    assert sorted(each["CUDA_VISIBLE_DEVICES"] for each in told) == ["0", "1"]
    assert [sum(each["held"]) for each in told] == [1, 1], "the program that takes the process's place holds it"


SERVER = """\
#!{python}
import http.server, os, sys, time
assert os.environ["VLLM_SERVER_DEV_MODE"] == "1"
port = int(sys.argv[sys.argv.index("--port") + 1])
way = open({way!r}).read()
print("starting", port, flush=True)
if way == "dies":
    sys.exit("no GPU here")
time.sleep(0.5)
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
        if way == "dies later":
            os._exit(3)
http.server.HTTPServer(("127.0.0.1", port), Healthy).serve_forever()
"""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called vllm that answers as healthy, or does what the file beside it says."""
    program, way = tmp_path / "bin" / "vllm", tmp_path / "way"
    program.parent.mkdir()
    program.write_text(SERVER.format(python=sys.executable, way=str(way)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    way.write_text("")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(server, "release", lambda: (0, 30))
    monkeypatch.setattr(server, "LOOK_S", 0.05)
    return way


def served(tmp_path: Path, **rest: Any) -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spec = planted(tmp_path)
    settings = PolicyServer(port=port, **{"start_timeout_s": 30.0, **rest})
    return replace(spec, train=replace(spec.train, generate_with="vllm_server", policy_server=settings))


def test_the_policy_s_server_is_awaited_and_ended_with_the_run(vllm: Path, tmp_path: Path) -> None:
    spec = served(tmp_path)
    url = f"http://localhost:{spec.train.policy_server.port}/health"
    with server.policy_server(spec, warm_base()) as (served_run, ended):
        assert served_run == replace(spec, train=served_run.train)
        assert served_run.train.policy_server.port == spec.train.policy_server.port
        assert ended() == ""
        assert server._is_up(url)
    assert not server._is_up(url)


def test_runs_side_by_side_have_servers_of_their_own(vllm: Path, tmp_path: Path) -> None:
    """With one port, the second run would generate with the first one's weights: its server looks up at once."""
    spec = served(tmp_path)
    with server.policy_server(spec, warm_base()) as (one, _), server.policy_server(spec, warm_base()) as (other, _):
        settings = [run.train.policy_server for run in (one, other)]
        assert settings[0].port < settings[1].port
        assert settings[0].weights_port < settings[1].weights_port
        options = [vllm_options(run.train, open_processor(spec.base)) for run in (one, other)]
    assert [o["vllm_server_base_url"] for o in options] == [f"http://localhost:{each.port}" for each in settings]
    assert [o["vllm_group_port"] for o in options] == [each.weights_port for each in settings]


def test_a_port_at_which_somebody_else_listens_is_passed_by(vllm: Path, tmp_path: Path) -> None:
    spec = served(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", spec.train.policy_server.port))
        other.listen()
        with server.policy_server(spec, warm_base()) as (served_run, _):
            assert served_run.train.policy_server.port > spec.train.policy_server.port


def test_a_server_that_does_not_start_is_the_cause_with_its_last_words(vllm: Path, tmp_path: Path) -> None:
    vllm.write_text("dies")
    told = r"ended with exit code 1: starting \d+ \| no GPU here"
    with pytest.raises(TrainingFailed, match=told), server.policy_server(served(tmp_path), warm_base()):
        pytest.fail("it is not up")


def test_a_server_that_ends_during_the_run_is_the_cause(vllm: Path, tmp_path: Path) -> None:
    vllm.write_text("dies later")
    with server.policy_server(served(tmp_path), warm_base()) as (_, ended):
        while not ended():
            time.sleep(0.05)
        assert "the policy's vLLM server ended with exit code 3" in ended()


def test_a_server_that_never_answers_is_not_awaited_for_ever(vllm: Path, tmp_path: Path) -> None:
    late = server.policy_server(served(tmp_path, start_timeout_s=0.1), warm_base())
    with pytest.raises(TrainingFailed, match=r"was not up after 0\.1 s"), late:
        pytest.fail("it is not up")


def test_a_server_that_is_there_already_is_neither_started_nor_ended(vllm: Path, tmp_path: Path) -> None:
    vllm.write_text("dies")
    with server.policy_server(served(tmp_path, base_url="http://elsewhere:8000"), warm_base()) as (_, ended):
        assert ended() == ""


def test_a_server_ends_with_a_run_that_is_killed(vllm: Path, tmp_path: Path) -> None:
    spec = served(tmp_path)
    (spec.folder / "RUN.json").write_text(json.dumps(spec.as_json()))
    code = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from perception_r1.train import server
        from perception_r1.train.spec import RunSpec
        server.release = lambda: (0, 30)
        with server.policy_server(RunSpec.read(Path({str(spec.folder / "RUN.json")!r})), Path({str(warm_base())!r})):
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    url = f"http://localhost:{spec.train.policy_server.port}/health"
    ends = time.monotonic() + 20
    while server._is_up(url) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not server._is_up(url)


def test_without_vllm_a_server_that_is_needed_is_one_line(tmp_path: Path) -> None:
    told = r"needs vLLM: pip install 'perception-r1\[gpu\]', or name a server"
    with pytest.raises(TrainingFailed, match=told), server.policy_server(served(tmp_path), warm_base()):
        pytest.fail("there is no vLLM on this machine")


@pytest.mark.parametrize("way", ["ddp", "fsdp2", "zero3"])
def test_every_launch_has_a_configuration_that_accelerate_takes(way: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = launch.CONFIGS / f"{way}.yaml"
    loaded = load_config_from_file(str(path))
    kind = {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero3": "DEEPSPEED"}[way]
    assert str(loaded.distributed_type.value) == kind
    assert yaml.safe_load(path.read_text()).get("deepspeed_config", {}).get("zero_stage", 3) == 3


def test_several_processes_are_launched_with_the_configuration_of_their_way(tmp_path: Path) -> None:
    spec = planted(tmp_path)
    path = spec.folder / "RUN.json"
    alone = launch.command(spec, path, {})
    assert alone == [sys.executable, "-m", "perception_r1.train", str(path)]
    many = replace(spec, train=replace(spec.train, processes=16, machines=2, launch="fsdp2", bf16=True))
    said = " ".join(launch.command(many, path, {"MACHINE_RANK": "1", "MAIN_PROCESS_IP": "10.0.0.1"}))
    for expected in (
        "-m accelerate.commands.launch --config_file",
        "accelerate/fsdp2.yaml --num_processes 16 --mixed_precision bf16 --num_machines 2 --machine_rank 1",
        "--main_process_ip 10.0.0.1",
        f"-m perception_r1.train {path}",
    ):
        assert expected in said


@pytest.mark.slow
def test_two_processes_train_one_model_and_a_resumed_run_of_two_is_the_run_of_two(tmp_path: Path) -> None:
    """Gloo on CPU, launched as on GPUs: each completion is in the ledger once, and each process goes on."""
    spec = planted(tmp_path, "train.processes=2", "train.steps=2", "train.save_every=1")
    spec = replace(spec, train=replace(spec.train, watch=replace(spec.train.watch, every=2, problems=3)))
    code, said = ran(spec, "perception_r1.train.launch")
    assert code == 0, said[-3000:]
    found = [row for table in ledger.read(spec.rollouts) for row in table.to_pylist()]
    places = sorted((row["step"], row["group"], row["sample"]) for row in found)
    assert places == [(s, g, n) for s in range(2) for g in range(4) for n in range(4)]
    assert {row["process"] for row in found} == {0, 1}
    assert {row["sampling_seed"] for row in found} == {spec.seed, spec.seed + 1}
    last = spec.checkpoints / "checkpoint-2"
    assert {"whole", "rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in last.iterdir()}
    assert json.loads((spec.looks / "00000002.json").read_text())["problems"] == 3
    trained = (spec.model / "model.safetensors").read_bytes()
    shutil.rmtree(last)
    shutil.rmtree(spec.model)
    code, said = ran(spec, "perception_r1.train.launch")
    assert code == 0, said[-3000:]
    assert (spec.model / "model.safetensors").read_bytes() == trained
    assert [row for table in ledger.read(spec.rollouts) for row in table.to_pylist()] == found
