"""Checkpoints that can be trusted: written to their end, on the disk, of this very model, and no pickle for weights."""

import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from perception_r1.errors import TrainingFailed
from perception_r1.models import POINTER
from perception_r1.train.spec import RunSpec

WHOLE = "whole"  # the file that says that a checkpoint was written to its end
ORIGIN = "origin.json"
STATE = "trainer_state.json"  # transformers' own
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin")
NAME = re.compile(r"checkpoint-\d+")  # what else lies beside them is somebody's own
HEADER = 8  # bytes: the length of a safetensors header


def seal(folder: Path, spec: RunSpec) -> None:
    """Marks a checkpoint as whole, once everything in it is on the disk."""
    (folder / ORIGIN).write_text(json.dumps(origin(spec)))
    for path in [*_files(folder), *_folders(folder)]:
        _sync(path)
    (folder / WHOLE).touch()
    for path in (folder / WHOLE, folder, folder.parent):
        _sync(path)


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; halves are removed."""
    found = sorted((path for path in folder.glob("checkpoint-*") if NAME.fullmatch(path.name)), key=step_of)
    whole = [path for path in found if (path / WHOLE).exists()]
    for path in found:
        if path not in whole:
            shutil.rmtree(path, ignore_errors=True)  # each process of a run comes by here
    return whole[-1] if whole else None


def best(last: Path) -> Path | None:
    """The checkpoint that did best on what was held out, as the last one knows it; None where nothing was."""
    name = json.loads((last / STATE).read_text())["best_model_checkpoint"]
    found = last.parent / Path(name or "none").name
    return found if (found / WHOLE).exists() else None


def step_of(checkpoint: Path) -> int:
    """How many steps a checkpoint has behind it."""
    return int(checkpoint.name.rpartition("-")[2])


def check(checkpoint: Path, spec: RunSpec) -> None:
    """Raises TrainingFailed where a checkpoint is not one that this run can go on from."""
    pickled = next((name for name in PICKLED if (checkpoint / name).exists()), None)
    if pickled:
        raise TrainingFailed(
            f"{checkpoint}: {pickled} is a pickle, which may run any code when it is opened; save the weights as "
            "safetensors, or remove the checkpoint to start anew"
        )
    found, _ = _said(checkpoint, ORIGIN), _said(checkpoint, STATE)
    wanted = origin(spec)
    other = [
        f"its {name} is {found.get(name)}, the run's {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if other:
        raise TrainingFailed(
            f"{checkpoint} is of another run: {'; '.join(other)}; remove it to start anew, or use its settings"
        )


def _said(checkpoint: Path, name: str) -> dict[str, Any]:
    """What a checkpoint says of itself; raises TrainingFailed where the file is damaged."""
    try:
        said = json.loads((checkpoint / name).read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise TrainingFailed(
            f"{checkpoint}: {name} is damaged; remove the checkpoint to go on from the one before it, or from the start"
        )
    return said


def origin(spec: RunSpec) -> dict[str, Any]:
    """What a checkpoint has in common with the run that may go on from it."""
    train = spec.train
    kind = f"adapters of rank {train.lora.rank}" if train.lora.rank else "whole weights"
    shared = train.launch if train.processes > 1 else "one process"
    return {"base": fingerprint(spec.base), "weights": kind, "processes": train.processes, "launch": shared}


def fingerprint(folder: Path) -> str:
    """A short digest of a model: its revision, or its configuration and the names, shapes and places of its tensors."""
    digest = sha256()
    for path in sorted([*folder.glob(POINTER), *folder.glob("config.json"), *folder.glob("*.safetensors")]):
        digest.update(path.name.encode())
        digest.update(_header(path) if path.suffix == ".safetensors" else path.read_bytes())
    return digest.hexdigest()[:16]


def _header(path: Path) -> bytes:
    """A safetensors file's own description, and a piece of what is behind it."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(HEADER), "little")
        return file.read(length) + file.read(1 << 16)


def generators() -> dict[str, Any]:
    """The states of every generator that training draws from."""
    import numpy
    import torch

    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    return states | ({"cuda": torch.cuda.get_rng_state_all()} if torch.cuda.is_available() else {})


def restore(states: dict[str, Any]) -> None:
    """Sets every generator back."""
    import numpy
    import torch

    random.setstate(states["python"])
    numpy.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_dir())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
