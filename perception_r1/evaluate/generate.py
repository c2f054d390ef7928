"""Greedy responses of a model to items, in batches of a stable order."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perception_r1.models import vision_tokens
from perception_r1.prompt import Instruction, messages
from perception_r1.records import Problem


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said to one problem."""

    text: str
    tokens: int
    truncated: bool


def responses(
    model: Any, processor: Any, problems: Sequence[Problem], max_tokens: int, instruction: Instruction = "none"
) -> list[Response]:
    """The greedy responses to a batch of problems."""
    import torch

    prompts = [
        processor.apply_chat_template(
            messages(problem.question, len(problem.images), problem.choices, instruction), add_generation_prompt=True
        )
        for problem in problems
    ]
    images = [picture(data) for problem in problems for data in problem.images]
    inputs = processor(text=prompts, images=images or None, return_tensors="pt", padding=True, padding_side="left")
    inputs = inputs.to(model.device)
    with torch.no_grad():
        said = model.generate(
            **inputs,
            max_new_tokens=max_tokens,
            do_sample=False,
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
