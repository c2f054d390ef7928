"""Where processes share a model out (fsdp2), the first of a run reads the weights, and the others know their shapes.

accelerate hands out what the first process has when it makes the shares, but transformers 5 reads all weights in each
process, whatever `fsdp_cpu_ram_efficient_loading` says: of a 7B model in float32 that is 265 GB of the memory of a
machine with eight GPUs. DeepSpeed shares weights out while they are read, if its configuration is there before them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception_r1.models import with_patch_products
from perception_r1.sections import Train


def are_given(train: Train, environment: Mapping[str, str]) -> bool:
    """Whether this process is given its share by another; adapters' processes each read what is under them."""
    is_first = environment.get("RANK", "0") == "0"
    return train.launch == "fsdp2" and train.processes > 1 and not train.lora.rank and not is_first


def shapes(folder: Path) -> Any:
    """The folder's model without its weights: everything else is as if it had been opened."""
    import torch
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig

    config = AutoConfig.from_pretrained(folder)
    with init_empty_weights(include_buffers=False):  # buffers are computed, and handed out by nobody
        auto: Any = AutoModelForImageTextToText
        model = auto.from_config(config, dtype=torch.float32)
    if (folder / "generation_config.json").exists():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return with_patch_products(model).eval()
