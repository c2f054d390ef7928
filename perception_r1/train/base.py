"""The folder that trainer, reference and vLLM all open: the base's weights beside a processor with the run's limits.

TRL opens the reference model by the name that the policy was opened under, and at no revision: after a resume that is
the checkpoint, and on the hub it is what the repository holds today. vLLM knows the limits of pictures from the
processor's file alone. One folder with the right weights and the right file keeps all of them together.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from perception_r1.errors import ConfigError
from perception_r1.models import POINTER, open_processor
from perception_r1.train.spec import RunSpec


def base_folder(spec: RunSpec) -> Path:
    """A folder with the base's weights and, where the run limits pictures, a processor that says so."""
    weights = _local(spec.base)
    if weights == spec.base and not (spec.train.min_pixels or spec.train.max_pixels):
        return weights
    folder = spec.folder / "base"
    if not (folder / "config.json").exists():
        partial = spec.folder / f"base.{os.getpid()}.tmp"  # each process of a run may come by here
        _link(weights, partial)
        open_processor(partial, min_pixels=spec.train.min_pixels, max_pixels=spec.train.max_pixels).save_pretrained(
            partial
        )
        _publish(partial, folder)
    return folder


def _local(base: Path) -> Path:
    """Where the base's files are on this machine; those of the hub are fetched at their revision."""
    pointer = base / POINTER
    if not pointer.exists():
        return base
    hub = json.loads(pointer.read_text())
    if Path(hub["repo"]).is_dir():
        return Path(hub["repo"])
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    ignored = ["*.bin", "*.pt", "*.pth", "original/*"]  # pickles run code when they are opened
    try:
        return Path(snapshot_download(hub["repo"], revision=hub["revision"], ignore_patterns=ignored))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ConfigError(
            f"{hub['repo']} at {hub['revision']} cannot be fetched: {str(error).splitlines()[0]}; "
            "look at train.model and train.revision, or name a folder as train.model"
        ) from error


def _link(weights: Path, folder: Path) -> None:
    """Links to the weights' files; what a processor writes is copied, so that it can be changed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in weights.iterdir():
        if file.suffix == ".safetensors":
            (folder / file.name).symlink_to(file.resolve())
        elif file.suffix in (".json", ".jinja", ".txt", ".model"):
            shutil.copyfile(file, folder / file.name)


def _publish(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:  # another process was faster
        if not (folder / "config.json").exists():
            raise
        shutil.rmtree(partial)


def opened_under(model: Any, base: Path) -> Any:
    """The model, that may come from a checkpoint, under the name of its base: a reference is opened by that name."""
    model.config._name_or_path = model.name_or_path = str(base)
    return model
