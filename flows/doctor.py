"""Is this machine ready, and is this configuration? Each finding says what was found, and what to do about it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from flows.endpoint_check import REMEDIES, Answer, listed_models
from flows.screen import print_json, print_table, size
from flows.services import HOME, server_url
from flows.store_commands import as_json

if TYPE_CHECKING:
    from perception_r1.sections import Config, Endpoint

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
WATCHED = ("torch", "transformers", "trl", "prefect", "duckdb")
INSTALL = "pip install -r requirements.lock"
GB = 10**9
NO_GPU = "none: training runs on the CPU, which the embedded world is made for"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whether it is well, what was found, and what to do about it."""

    level: Literal["ok", "warning", "problem"]
    what: str
    found: str
    remedy: str = ""


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Also check what this configuration needs.")
@click.option("--profile", default="", help="A profile of that configuration.")
@click.option("--home", type=click.Path(path_type=Path), default=HOME, show_default=True, help="Of perception-r1 up.")
@as_json
@click.pass_obj
def doctor(store: Path | None, config: Path | None, profile: str, home: Path, as_json: bool) -> None:
    """Check the machine (and with --config the endpoints) and say what to do; exit code 1 if there is a problem."""
    findings = list(examine(store, config, profile, home))
    if as_json:
        print_json(findings)
    else:
        print_table(["", "what", "found", "what to do"], ([f.level, f.what, f.found, f.remedy] for f in findings))
    sys.exit(any(finding.level == "problem" for finding in findings))


DOCTOR_COMMAND = doctor


def examine(store: Path | None, config: Path | None, profile: str = "", home: Path = HOME) -> Iterator[Finding]:
    """Everything there is to find, in the order in which one would mend it."""
    yield python_version(sys.version_info[:3])
    yield from packages(_versions(), _pins(LOCK))
    loaded: Config | None = None
    if config:
        loaded, finding = _loaded(config, profile)
        yield finding
    real = loaded is not None and loaded.train.model != "world"
    yield from _torch_and_gpu(real)
    yield _disk(_store_folder(store), 150 * GB if real else 2 * GB)
    yield _memory()
    yield _server(home)
    if loaded:
        yield from _generation(loaded)
        for name, endpoint in loaded.endpoints.items():
            yield check_endpoint(name, endpoint)


def python_version(version: tuple[Any, ...]) -> Finding:
    """Whether this Python is new enough."""
    found = ".".join(map(str, version))
    if version[:2] < (3, 11):
        return Finding("problem", "Python", found, "3.11 or newer is needed: make PYTHON=python3.11")
    return Finding("ok", "Python", found)


def packages(installed: dict[str, str | None], pins: dict[str, str]) -> Iterator[Finding]:
    """The packages whose version matters, beside those that everything was measured with."""
    for name, version in installed.items():
        pinned = pins.get(name, "")
        if version is None:
            yield Finding("problem", name, "not installed", INSTALL)
        elif pinned and version.partition("+")[0] != pinned:
            yield Finding("warning", name, f"{version}; everything was measured with {pinned}", INSTALL)
        else:
            yield Finding("ok", name, version)


def torchvision(build: str, installed: str | None, opens: bool) -> Finding:
    """Whether torchvision does harm: transformers uses it where it is installed, and a CUDA build dies on CPU torch."""
    if installed is None:
        return Finding("ok", "torchvision", "not installed, and not needed")
    if opens:
        return Finding("ok", "torchvision", installed)
    found = f"{installed} does not open with torch {build}, and transformers believes that it does"
    return Finding("problem", "torchvision", found, "pip uninstall torchvision (it is not needed)")


def gpu(build: str, cuda: str | None, names: tuple[str, ...], driver: str) -> Finding:
    """The GPUs that torch can use, beside those that the driver shows."""
    if names:
        return Finding("ok", "GPU", ", ".join(names))
    if not driver:
        return Finding("ok", "GPU", NO_GPU)
    if cuda is None:
        return Finding(
            "warning", "GPU", f"{driver}, but torch {build} is a CPU build", f"install torch {build} for CUDA"
        )
    remedy = f"torch {build} needs a driver for CUDA {cuda}; look at nvidia-smi and CUDA_VISIBLE_DEVICES"
    return Finding("warning", "GPU", f"{driver}, but torch cannot use it", remedy)


def check_endpoint(name: str, endpoint: "Endpoint", timeout_s: float = 5.0) -> Finding:
    """Whether an endpoint's key is there, whether it answers, and whether it has the model."""
    what = f"endpoint {name}"
    if not endpoint.base_url:
        return Finding("ok", what, f"{endpoint.model}, in process")
    key = os.environ.get(endpoint.key_variable, "") if endpoint.key_variable else ""
    if endpoint.key_variable and not key:
        return Finding("problem", what, f"${endpoint.key_variable} is not set", f"export {endpoint.key_variable}=…")
    return _judged(what, endpoint, listed_models(endpoint.base_url, key, timeout_s))


def _judged(what: str, endpoint: "Endpoint", answer: Answer) -> Finding:
    """What an endpoint's list of models means for us."""
    if isinstance(answer, str):
        level: Literal["warning", "problem"] = "warning" if answer == "no list of models" else "problem"
        return Finding(level, what, f"{endpoint.base_url}: {answer}", REMEDIES[answer.partition(":")[0]])
    if endpoint.model in answer:
        return Finding("ok", what, f"{endpoint.model} at {endpoint.base_url}")
    shown = ", ".join(sorted(answer)[:5]) or "none"
    more = f" and {len(answer) - 5} more" if len(answer) > 5 else ""
    remedy = "correct the endpoint's model, or serve it (vllm serve … --served-model-name)"
    return Finding(
        "problem", what, f"{endpoint.model} is not served at {endpoint.base_url}; it has {shown}{more}", remedy
    )


def _loaded(path: Path, profile: str) -> "tuple[Config | None, Finding]":
    from perception_r1.config import load
    from perception_r1.errors import ConfigError

    try:
        config = load(path, profile)
    except ConfigError as error:
        return None, Finding("problem", "configuration", str(error), "correct the file")
    return config, Finding("ok", "configuration", f"{path}{f', profile {profile}' if profile else ''}")


def _torch_and_gpu(real: bool) -> Iterator[Finding]:
    """What torch is, what it can use, and what could break it."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of a CUDA build is missing
        yield Finding("problem", "torch opens", str(error).splitlines()[0], INSTALL)
        return
    build, cuda = str(torch.__version__), torch.version.cuda
    kind = f"CUDA {cuda}" if cuda else "CPU"
    yield Finding("ok", "torch opens", f"{build}, built for {kind}, {torch.get_num_threads()} threads")
    finding = gpu(build, cuda, _gpu_names(torch), _driver())
    if real and finding.found == NO_GPU:
        finding = Finding("warning", "GPU", "none; this configuration trains a real model", "train where there is one")
    yield finding
    yield torchvision(build, _version("torchvision"), _opens("torchvision"))


def _gpu_names(torch: Any) -> tuple[str, ...]:
    if not torch.cuda.is_available():
        return ()
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return tuple(f"{device.name}, {size(device.total_memory)}" for device in found)


def _driver() -> str:
    """What the NVIDIA driver shows; empty without one."""
    program = shutil.which("nvidia-smi")
    if not program:
        return ""
    shown = subprocess.run([program, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return ", ".join(shown.stdout.split("\n")).strip(", ") if shown.returncode == 0 else ""


def _disk(folder: Path, wanted: int) -> Finding:
    """Whether there is room at the store. A real model's checkpoint with its optimizer takes 60 to 120 GB."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    found = f"{size(free)} free at {folder}"
    if not os.access(place, os.W_OK):
        return Finding(
            "problem", "store", f"{place} cannot be written to", "choose another: --store, PERCEPTION_R1_STORE"
        )
    if free < GB:
        return Finding("problem", "store", found, "make room (perception-r1 gc), or choose another: --store")
    if free < wanted:
        return Finding(
            "warning", "store", found, f"a run may need {size(wanted)}: make room, or choose another: --store"
        )
    return Finding("ok", "store", found)


def _store_folder(given: Path | None) -> Path:
    from storage import open_store

    return Path(str(open_store(given).place)).resolve()


def _memory() -> Finding:
    import psutil  # type: ignore[import-untyped, unused-ignore]

    memory = psutil.virtual_memory()
    found = f"{size(memory.available)} of {size(memory.total)} free"
    if memory.available < 4 * GB:
        return Finding(
            "warning", "memory", found, "a default run takes up to 4 GB: close something, or train.at_once = 1"
        )
    return Finding("ok", "memory", found)


def _server(home: Path) -> Finding:
    from flows.prefect_api import is_healthy

    url = server_url(home)
    if not url:
        return Finding("ok", "Prefect server", "none is up; runs do without, and perception-r1 up starts one")
    if not is_healthy(url):
        return Finding(
            "warning", "Prefect server", f"{url} does not answer", "perception-r1 down, then perception-r1 up"
        )
    return Finding("ok", "Prefect server", url)


def _generation(config: "Config") -> Iterator[Finding]:
    """Whether vLLM opens, where the configuration generates with it."""
    ways = {f"{part}.generate_with": getattr(config, part).generate_with for part in ("train", "evaluate")}
    what = ", ".join(f"{name} = {way}" for name, way in ways.items() if way != "transformers")
    if not what:
        return
    if importlib.util.find_spec("vllm") is None:
        yield Finding("problem", what, "vLLM is not installed", "pip install 'perception-r1[gpu]'")
    elif not _opens("vllm"):
        yield Finding("problem", what, "vLLM does not open here", "python -c 'import vllm' says why")
    else:
        yield Finding("ok", what, f"vLLM {_version('vllm')}")


def _opens(module: str) -> bool:
    """Whether a module can be imported; in a process of its own, since a failed import leaves pieces behind."""
    if importlib.util.find_spec(module) is None:
        return False
    return subprocess.run([sys.executable, "-P", "-c", f"import {module}"], capture_output=True).returncode == 0


def _versions() -> dict[str, str | None]:
    return {name: _version(name) for name in WATCHED}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pins(lock: Path) -> dict[str, str]:
    """The versions of the lock file; none where this is no checkout."""
    if not lock.is_file():
        return {}
    lines = (line.partition("==") for line in lock.read_text().splitlines())
    return {name.lower(): version for name, equals, version in lines if equals}
