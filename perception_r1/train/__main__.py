"""`python -m perception_r1.train RUN.json`: one arm and one seed, from its last whole checkpoint if there is one."""

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import Any

from perception_r1.child import end_with_parent
from perception_r1.endpoints import open_endpoint
from perception_r1.errors import ConfigError, PerceptionError
from perception_r1.judges import Judge
from perception_r1.models import open_model, open_processor
from perception_r1.sections import Endpoint
from perception_r1.train import data
from perception_r1.train.spec import RunSpec
from perception_r1.train.trainer import WHOLE, PerceptionTrainer


def main() -> None:
    """Trains and leaves the model in the run's folder."""
    end_with_parent()
    spec = RunSpec.read(Path(sys.argv[1]))
    try:
        train(spec)
    except PerceptionError as error:
        sys.exit(str(error))


def train(spec: RunSpec) -> None:
    """The model, trained; a run that was killed ends with the same weights as one that was not."""
    checkpoint = last_whole(spec.checkpoints)
    settings = spec.train
    processor = open_processor(spec.base, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels)
    # the trainer's own resume leaves Qwen2.5-VL's weights unloaded, with no more than a warning
    # whole weights stay in float32 whatever the arithmetic is in: bfloat16 rounds steps of 1e-6 away
    adapters = bool(settings.lora.rank)
    model = open_model(spec.base if adapters else checkpoint or spec.base, bf16=settings.bf16 and adapters)
    asked = judge_endpoint(spec)
    endpoint = open_endpoint(asked) if asked else None
    trainer = PerceptionTrainer(
        spec,
        Judge(endpoint, max_tokens=asked.max_tokens) if endpoint and asked else None,
        processor,
        model=model,
        train_dataset=data.dataset(spec),
        peft_config=_lora(spec),
    )
    if checkpoint and step_of(checkpoint) >= settings.steps:  # in the midst of an epoch train() would take one more
        if adapters:
            trainer._load_from_checkpoint(str(checkpoint))
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if endpoint:
        endpoint.close()
    _save(trainer, processor, spec.model)


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; halves are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=step_of)
    whole = [path for path in found if (path / WHOLE).exists()]
    for path in found:
        if path not in whole:
            shutil.rmtree(path, ignore_errors=True)  # each process of a run comes by here
    return whole[-1] if whole else None


def step_of(checkpoint: Path) -> int:
    """How many steps a checkpoint has behind it."""
    return int(checkpoint.name.rpartition("-")[2])


def judge_endpoint(spec: RunSpec) -> Endpoint | None:
    """This process's share of the judge: all processes together ask as many at once as its settings allow."""
    if not spec.judge:
        return None
    return dataclasses.replace(spec.judge, concurrency=max(1, spec.judge.concurrency // spec.train.processes))


def _lora(spec: RunSpec) -> Any:
    lora = spec.train.lora
    if not lora.rank:
        return None
    try:
        from peft import LoraConfig
    except ImportError:
        raise ConfigError("train.lora needs peft: pip install 'perception-r1[gpu]', or set train.lora.rank=0") from None
    return LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear")


def _save(trainer: Any, processor: Any, folder: Path) -> None:
    """Model and processor as transformers keeps them, adapters merged; nothing of it is a pickle."""
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


if __name__ == "__main__":
    main()
