"""Supervised steps on demonstrations: from random weights to a policy that keeps the layout, answers, and reads badly.

Muon on the two-dimensional hidden weights and AdamW on the rest reach in 100 CPU seconds what AdamW alone does not in
120 (accuracy .995 against .35 on clean labels). Two threads gain little and can collapse: set OMP_NUM_THREADS=1.
"""

from collections.abc import Callable
from typing import Any

from perception_r1.prompt import messages
from perception_r1.world.charts import QUESTIONS
from perception_r1.world.demonstrator import LAZY_SHARE, demonstrations
from perception_r1.world.muon import muon_class
from perception_r1.world.tiny_vlm import END, START, new_model, new_processor

STEPS, BATCH = 250, 64
MUON_RATE, ADAM_RATE = 0.02, 4e-3
CORPUS = 2000
IGNORED = -100  # the label that the loss leaves out

Watch = Callable[[int, int, float], None]  # step, steps, loss


def warm_started(seed: int, steps: int = STEPS, lazy_share: float = LAZY_SHARE, watch: Watch | None = None) -> Any:
    """(model, processor) after `steps` batches of demonstrations; everything follows from the seed."""
    import torch

    processor = new_processor(_texts(seed))
    model = new_model(processor, seed)
    optimizers = _optimizers(model)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: _rate(step, steps)) for o in optimizers]
    examples = demonstrations(steps * BATCH, seed, QUESTIONS, lazy_share)
    model.train()
    for step in range(steps):
        loss = model(**batch(processor, [next(examples) for _ in range(BATCH)])).loss
        loss.backward()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if watch:
            watch(step + 1, steps, loss.item())
    return model.eval(), processor


def _rate(step: int, steps: int) -> float:
    """The share of the learning rate: whole for three fifths of the way, then straight down."""
    return min(1.0, (steps - step) / (0.4 * steps))


def _texts(seed: int) -> Any:
    """What the tokenizer is trained on: prompts and responses as they are written."""
    for task, response in demonstrations(CORPUS, seed):
        yield f"user\n{task.text}\nassistant\n{response}"


def prompt(processor: Any, text: str) -> str:
    """A question with its picture's mark in the chat layout, ready for an answer."""
    rendered: str = processor.apply_chat_template(messages(text, images=1), add_generation_prompt=True)
    return rendered


def batch(processor: Any, examples: list[Any]) -> Any:
    """Inputs and labels of demonstrations; only the response is learnt.

    The inputs are the processor's own. It takes one picture at a time, for a quarter of a step; here charts, which are
    all of one size, are taken together.
    """
    import torch

    rendered = {text: prompt(processor, text) for text in {task.text for task, _ in examples}}  # few are asked
    prompts = [rendered[task.text] for task, _ in examples]
    pixels, grids = _patches(processor.image_processor, [task.chart.image() for task, _ in examples])
    marks = processor.image_token * (len(pixels) // len(examples) // processor.image_processor.merge_size**2)
    texts = [
        f"{p.replace(processor.image_token, marks)}{said}{END}" for p, (_, said) in zip(prompts, examples, strict=True)
    ]
    inputs = processor.tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    ids = inputs["input_ids"]
    start = processor.tokenizer.convert_tokens_to_ids(START)
    header = len(processor.tokenizer(f"{START}assistant\n").input_ids)
    labels = ids.masked_fill(inputs["attention_mask"] == 0, IGNORED)
    for row in labels:
        row[: int((row == start).nonzero()[-1]) + header] = IGNORED
    return {
        **inputs,
        "mm_token_type_ids": (ids == processor.image_token_id).to(ids.dtype),
        "pixel_values": torch.from_numpy(pixels),
        "image_grid_thw": torch.from_numpy(grids),
        "labels": labels,
    }


def _patches(settings: Any, images: list[Any]) -> Any:
    """Pictures of one size, a multiple of what is merged, as the image processor's patches and their grids."""
    import numpy as np

    levels = (np.arange(256) * settings.rescale_factor).astype(np.float32)
    mean, std = (np.array(each, dtype=np.float32) for each in (settings.image_mean, settings.image_std))
    shades = (levels[:, None] - mean) / std
    seen = shades[np.stack([np.asarray(image) for image in images]), np.arange(len(mean))]
    side, merge = settings.patch_size, settings.merge_size
    count, height, width, channels = seen.shape
    rows, columns = height // side // merge, width // side // merge
    parts = seen.reshape(count, rows, merge, side, columns, merge, side, channels)
    ordered = parts.transpose(0, 1, 4, 2, 5, 7, 3, 6)  # a patch: channel, row, column, in order of the merged squares
    twice = np.repeat(ordered[:, :, :, :, :, :, None], settings.temporal_patch_size, axis=6)
    pixels = twice.reshape(count * rows * columns * merge**2, -1)
    return pixels, np.array([[1, rows * merge, columns * merge]] * count)


def _optimizers(model: Any) -> list[Any]:
    import torch

    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    chosen = {id(p) for p in inner}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [muon_class()(inner, lr=MUON_RATE), torch.optim.AdamW(rest, lr=ADAM_RATE, weight_decay=0.0)]
