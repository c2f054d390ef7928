"""`doctor`: what it finds, what it says to do, and when it exits with 1."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.doctor import DOCTOR_COMMAND, Finding, check_endpoint, gpu, packages, python_version, torchvision
from perception_r1.sections import Endpoint

KEY = "right"
ROOT = Path(__file__).resolve().parent.parent


class Served(BaseHTTPRequestHandler):
    """Several servers in one: what it does is the first part of the path."""

    def do_GET(self) -> None:
        way = self.path.split("/")[1]
        assert self.path == f"/{way}/v1/models"
        if way == "slow":
            time.sleep(1.5)
        if way == "locked" and self.headers.get("Authorization") != f"Bearer {KEY}":
            self.answer(401, {"error": "no"})
        elif way in {"good", "locked", "slow"}:
            self.answer(200, {"object": "list", "data": [{"id": "qwen"}, {"id": "llama"}]})
        elif way == "page":
            self.answer(200, "<html>")
        elif way == "other":
            self.answer(200, {"models": []})
        else:
            self.answer({"closed": 404, "ill": 503}[way], {})

    def answer(self, code: int, body: Any) -> None:
        said = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        with suppress(BrokenPipeError):  # who asked did not wait
            self.send_response(code)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    def log_message(self, *words: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("way", "model", "level", "found", "remedy"),
    [
        pytest.param("good", "qwen", "ok", "qwen at", "", id="served"),
        pytest.param("good", "gwen", "problem", "gwen is not served", "correct the endpoint's model", id="not-served"),
        pytest.param("locked", "qwen", "problem", "the key is refused: HTTP 401", "no valid key", id="key-refused"),
        pytest.param("closed", "qwen", "warning", "no list of models", "by hand", id="lists-nothing"),
        pytest.param("ill", "qwen", "problem", "it fails: HTTP 503", "own log", id="server-error"),
        pytest.param("page", "qwen", "problem", "not the OpenAI protocol", "/v1", id="a-web-page"),
        pytest.param("other", "qwen", "problem", "not the OpenAI protocol", "/v1", id="another-protocol"),
        pytest.param("slow", "qwen", "problem", "no answer in time", "still loading", id="too-slow"),
    ],
)
def test_an_endpoint_is_asked_what_it_serves(
    server: str, way: str, model: str, level: str, found: str, remedy: str
) -> None:
    said = check_endpoint("judge", Endpoint(model=model, base_url=f"{server}/{way}/v1"), timeout_s=0.5)
    assert (said.level, said.what) == (level, "endpoint judge")
    assert found in said.found and remedy in said.remedy


def test_a_list_of_models_shows_what_could_be_meant(server: str) -> None:
    assert "it has llama, qwen" in check_endpoint("judge", Endpoint(model="gwen", base_url=f"{server}/good/v1/")).found


def test_an_address_where_nobody_answers_is_a_problem() -> None:
    said = check_endpoint("judge", Endpoint(model="qwen", base_url="http://127.0.0.1:9/v1"))
    assert said.level == "problem" and "http://127.0.0.1:9/v1: nobody answers" in said.found
    assert said.remedy == "start the server, or correct the endpoint's base_url"


def test_an_address_that_is_none_is_a_problem() -> None:
    assert check_endpoint("judge", Endpoint(model="qwen", base_url="localhost/v1")).level == "problem"


def test_the_key_is_sent_from_its_variable_and_missed_by_name(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(model="qwen", base_url=f"{server}/locked/v1", key_variable="SOME_KEY")
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert check_endpoint("judge", endpoint).found == "$SOME_KEY is not set"
    monkeypatch.setenv("SOME_KEY", KEY)
    assert check_endpoint("judge", endpoint).level == "ok"


def test_an_embedded_model_needs_no_address() -> None:
    assert check_endpoint("judge", Endpoint(model="embedded/judge")).found == "embedded/judge, in process"


@pytest.mark.parametrize(
    ("installed", "level", "found"),
    [
        pytest.param("2.13.0", "ok", "2.13.0", id="as-pinned"),
        pytest.param("2.13.0+cpu", "ok", "2.13.0+cpu", id="a-build-of-it"),
        pytest.param("2.14.0", "warning", "2.14.0; everything was measured with 2.13.0", id="another"),
        pytest.param(None, "problem", "not installed", id="absent"),
    ],
)
def test_a_package_is_held_against_its_pin(installed: str | None, level: str, found: str) -> None:
    (said,) = packages({"torch": installed}, {"torch": "2.13.0"})
    assert (said.level, said.found) == (level, found)
    assert bool(said.remedy) is (level != "ok")


def test_an_old_python_is_a_problem() -> None:
    assert python_version((3, 10, 4)) == Finding(
        "problem", "Python", "3.10.4", "3.11 or newer is needed: make PYTHON=python3.11"
    )
    assert python_version((3, 12, 0)).level == "ok"


@pytest.mark.parametrize(
    ("cuda", "names", "driver", "level", "says"),
    [
        pytest.param("13.0", ("H100, 85.0 GB",), "H100", "ok", "H100, 85.0 GB", id="usable"),
        pytest.param(None, (), "", "ok", "none: training runs on the CPU", id="none"),
        pytest.param(None, (), "H100", "warning", "is a CPU build", id="cpu-build-beside-a-gpu"),
        pytest.param("13.0", (), "H100", "warning", "torch cannot use it", id="driver-too-old"),
    ],
)
def test_a_gpu_that_lies_idle_is_told(
    cuda: str | None, names: tuple[str, ...], driver: str, level: str, says: str
) -> None:
    said = gpu("2.13.0", cuda, names, driver)
    assert said.level == level and says in said.found


def test_a_torchvision_that_does_not_open_is_a_problem() -> None:
    said = torchvision("2.13.0+cpu", "0.28.0", opens=False)
    assert said.level == "problem" and said.remedy.startswith("pip uninstall torchvision")
    assert torchvision("2.13.0+cpu", None, opens=False).level == "ok"
    assert torchvision("2.13.0+cu130", "0.28.0", opens=True).level == "ok"


def examined(tmp_path: Path, *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = CliRunner().invoke(
        DOCTOR_COMMAND, ["--home", str(tmp_path), "--json", *words], obj=tmp_path / "store", catch_exceptions=False
    )
    return done.exit_code, {finding["what"]: finding for finding in json.loads(done.output)}


def test_the_embedded_world_is_ready_on_this_machine(tmp_path: Path) -> None:
    code, found = examined(tmp_path, "--config", str(ROOT / "configs/embedded.toml"))
    assert code == 0, found
    assert found["endpoint judge"]["found"] == "embedded/judge, in process"
    assert found["Prefect server"]["found"].startswith("none is up")
    assert not (tmp_path / "store").exists(), "to look is not to make"


def test_a_configuration_that_cannot_be_right_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('name = "x"\ntrian = {}\n')
    code, found = examined(tmp_path, "--config", str(tmp_path / "x.toml"))
    assert code == 1
    assert "did you mean train?" in found["configuration"]["found"]


def test_what_a_real_configuration_lacks_here_is_told(tmp_path: Path) -> None:
    text = (ROOT / "configs/embedded.toml").read_text()
    text = text.replace("[train]", '[train]\nmodel = "some/model"\nrevision = "0123"\ngenerate_with = "vllm_server"', 1)
    text = text.replace(
        'judge = { model = "embedded/judge" }', 'judge = { model = "q", base_url = "http://127.0.0.1:9/v1" }'
    )
    text = text.replace("[evaluate]", '[evaluate]\ngenerate_with = "vllm"', 1)
    (tmp_path / "real.toml").write_text(text)
    code, found = examined(tmp_path, "--config", str(tmp_path / "real.toml"))
    assert code == 1
    assert "nobody answers" in found["endpoint judge"]["found"]
    generation = "train.generate_with = vllm_server, evaluate.generate_with = vllm"
    assert found[generation]["level"] in {"ok", "problem"}
    assert "vLLM" in found[generation]["found"]


def test_people_get_a_table(tmp_path: Path) -> None:
    done = CliRunner().invoke(DOCTOR_COMMAND, ["--home", str(tmp_path)], obj=tmp_path, catch_exceptions=False)
    assert "what to do" in done.output and "torchvision" in done.output
