"""Opening the model that is trained or asked, tiny or real. A folder may stand for a model of the hub."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from perception_r1.errors import ConfigError

QWEN = "qwen2_5_vl"
POINTER = "hub.json"


def write_pointer(folder: Path, repo: str, revision: str) -> Path:
    """Makes the folder stand for a model of the hub, so that what is made from it can be traced to a revision."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / POINTER).write_text(json.dumps({"repo": repo, "revision": revision}))
    return folder


def named(folder: Path) -> dict[str, Any]:
    """What transformers opens for the folder."""
    pointer = folder / POINTER
    if not pointer.exists():
        return {"pretrained_model_name_or_path": str(folder)}
    hub = json.loads(pointer.read_text())
    return {"pretrained_model_name_or_path": hub["repo"], "revision": hub["revision"] or None}


def open_model(folder: Path, *, bf16: bool = False, quantize: Literal["none", "4bit"] = "none") -> Any:
    """The weights, from safetensors only: a pickle may run any code when it is opened."""
    import torch
    from transformers import AutoModelForImageTextToText

    where = named(folder)
    if quantize == "4bit":
        where |= {"quantization_config": _four_bits()}
    dtype = torch.bfloat16 if bf16 else torch.float32
    try:
        return with_patch_products(
            AutoModelForImageTextToText.from_pretrained(**where, dtype=dtype, use_safetensors=True)
        )
    except (OSError, ValueError) as error:
        name = where["pretrained_model_name_or_path"]
        raise ConfigError(f"the model {name} cannot be opened: {str(error).splitlines()[0]}") from error


def with_patch_products(model: Any) -> Any:
    """The model, its patches embedded by a matrix product: what a convolution is whose kernel is its whole input.

    As a convolution it is a fifth of a supervised step of the tiny model on a CPU, almost all of it backwards.
    """
    import torch

    for module in model.modules():
        if type(module) is torch.nn.Conv3d and module.kernel_size == module.stride and module.groups == 1:
            module.__class__ = _patch_product()
    return model


@cache
def _patch_product() -> Any:
    import torch

    class PatchProduct(torch.nn.Conv3d):
        def forward(self, input: Any) -> Any:
            if input.shape[2:] != self.weight.shape[2:]:
                return super().forward(input)
            embedded = torch.nn.functional.linear(input.flatten(1), self.weight.flatten(1), self.bias)
            return embedded[..., None, None, None]

    return PatchProduct


def _four_bits() -> Any:
    """QLoRA's own quantization (arXiv 2305.14314)."""
    import torch
    import transformers

    quantized: Any = transformers.BitsAndBytesConfig
    return quantized(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def open_processor(folder: Path, *, min_pixels: int = 0, max_pixels: int = 0) -> Any:
    """The processor, with the pixel budget that training and evaluation share."""
    from transformers import AutoConfig, AutoProcessor

    from perception_r1.world.tiny_vlm import processor_class

    where = named(folder)
    # AutoProcessor returns the bare tokenizer for a class that it does not know, without a word
    opener = processor_class() if AutoConfig.from_pretrained(**where).model_type == QWEN else AutoProcessor
    processor = with_pictures_once(opener.from_pretrained(**where))
    processor.tokenizer.padding_side = "left"
    size = processor.image_processor.size
    if min_pixels:
        size["shortest_edge"] = min_pixels
    if max_pixels:
        size["longest_edge"] = max_pixels
    return processor


def with_pictures_once(processor: Any) -> Any:
    """The processor, which prepares the same picture of several prompts once: a group of rollouts has one."""
    if type(processor.image_processor).__name__ == "Qwen2VLImageProcessorPil":
        processor.image_processor.__class__ = _once()
    return processor


@cache
def _once() -> Any:
    import torch
    from transformers import BatchFeature, Qwen2VLImageProcessorPil

    class Once(Qwen2VLImageProcessorPil):  # type: ignore[misc, unused-ignore]
        def _preprocess(self, images: list[Any], *args: Any, **kwargs: Any) -> Any:
            seen: dict[Any, int] = {}
            which = [seen.setdefault((image.shape, image.tobytes()), len(seen)) for image in images]
            if len(seen) == len(images) or kwargs.get("return_tensors") != "pt":
                return super()._preprocess(images, *args, **kwargs)
            made = super()._preprocess([images[which.index(n)] for n in range(len(seen))], *args, **kwargs)
            grids = made["image_grid_thw"]
            parts = made["pixel_values"].split(grids.prod(dim=1).tolist())
            pixels = torch.cat([parts[n] for n in which])
            return BatchFeature({"pixel_values": pixels, "image_grid_thw": grids[which]})

    Once.__name__ = "Qwen2VLImageProcessorPil"  # what a saved processor says of itself
    return Once


def vision_tokens(processor: Any) -> list[int]:
    """The ids that a policy must never say: a sampled image mark ends the next forward."""
    ids = [getattr(processor, name, None) for name in ("image_token_id", "video_token_id")]
    return [token for token in ids if isinstance(token, int)]
