"""Responses of a model in this process to items, in batches of a stable order."""

import io
from collections.abc import Sequence
from typing import Any

from perception_r1.evaluate.cache import Response
from perception_r1.models import vision_tokens
from perception_r1.prompt import Instruction, messages
from perception_r1.records import Problem


def rendered(processor: Any, problem: Problem, instruction: Instruction = "none", before: Sequence[Any] = ()) -> str:
    """The prompt of a problem as the model's own template spells it; `before` are messages that come first."""
    asked = messages(problem.question, len(problem.images), problem.choices, instruction)
    prompt: str = processor.apply_chat_template([*before, *asked], add_generation_prompt=True)
    return prompt


def model_inputs(processor: Any, prompts: Sequence[str], pictures: Sequence[bytes]) -> Any:
    """The tensors of a batch; without a picture there is no pixel in them."""
    images = [picture(data) for data in pictures]
    return processor(text=list(prompts), images=images or None, return_tensors="pt", padding=True, padding_side="left")


def responses(
    model: Any,
    processor: Any,
    prompts: Sequence[str],
    pictures: Sequence[bytes],
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Response]:
    """The responses to a batch of prompts, whose pictures follow each other; greedy at temperature 0."""
    import torch

    inputs = model_inputs(processor, prompts, pictures).to(model.device)
    sampling: dict[str, Any] = {"do_sample": False}
    if temperature:
        torch.manual_seed(seed)
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with torch.no_grad():
        said = model.generate(
            **inputs,
            **sampling,
            max_new_tokens=max_tokens,
            repetition_penalty=1.0,  # Qwen2.5-VL's folder says 1.05, with which training does not sample
            suppress_tokens=vision_tokens(processor),
        )
    ids = said[:, inputs["input_ids"].shape[1] :]
    ends = model.generation_config.eos_token_id  # one, or several: Qwen2.5-VL stops at two
    ended = torch.isin(ids, torch.tensor(ends, device=ids.device))
    texts = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [
        Response(text, int(row.int().argmax()) + 1 if row.any() else len(row), not bool(row.any()))
        for text, row in zip(texts, ended, strict=True)
    ]


def picture(data: bytes) -> Any:
    """An encoded image, decoded."""
    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")
