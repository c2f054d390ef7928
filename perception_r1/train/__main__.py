"""`python -m perception_r1.train RUN.json`: one arm and one seed, from its last whole checkpoint if there is one."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from perception_r1.child import end_with_parent, give_up, write_cause
from perception_r1.errors import ConfigError, PerceptionError, TrainingFailed
from perception_r1.judges import open_judge
from perception_r1.models import open_model, open_processor
from perception_r1.sections import Endpoint
from perception_r1.train import base, checkpoints, data, parts, preflight, shares
from perception_r1.train.judging import patient
from perception_r1.train.memory import advice, is_out_of_memory
from perception_r1.train.server import policy_server
from perception_r1.train.settings import config
from perception_r1.train.spec import RunSpec
from perception_r1.train.trainer import PerceptionTrainer


def main() -> None:
    """Trains and leaves the model in the run's folder, or the reason why not."""
    end_with_parent()
    spec = RunSpec.read(Path(sys.argv[1]))
    try:
        train(spec)
    except PerceptionError as error:
        give_up(spec.folder, error)
    except Exception as error:  # under a launcher, the last line of the log is the launcher's own
        cause = advice(spec) if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
        write_cause(spec.folder, cause)
        raise


def train(spec: RunSpec) -> None:
    """The model, trained; a run that was killed ends with the same weights as one that was not."""
    checkpoint = checkpoints.last_whole(spec.checkpoints)
    if checkpoint:
        checkpoints.check(checkpoint, spec)
    folder = base.base_folder(spec)
    with policy_server(spec, folder) as (served, server_ended):
        try:
            _trained(served, folder, checkpoint)
        except PerceptionError:
            raise
        except Exception as error:
            if told := server_ended():  # what the trainer saw of it is a connection that broke
                raise TrainingFailed(told) from error
            raise


def _trained(spec: RunSpec, folder: Path, checkpoint: Path | None) -> None:
    """Trains from the checkpoint, or the base, to the last step."""
    settings, stopped = spec.train, ""
    processor = open_processor(folder, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels)
    # in the midst of an epoch train() would take one step more
    if not checkpoint or checkpoints.step_of(checkpoint) < settings.steps:
        stopped = _went_on(spec, folder, checkpoint, processor)
    if os.environ.get("RANK", "0") == "0":
        _keep(spec, folder, processor)
    if stopped:
        raise TrainingFailed(f"stopped by an alarm (train.watch.stop): {stopped}")


def _went_on(spec: RunSpec, folder: Path, checkpoint: Path | None, processor: Any) -> str:
    """Takes the steps that are left; returns the alarm that ended the run, if one did."""
    asked = judge_endpoint(spec)
    judge = open_judge(patient(asked, spec.train), spec.judging, spec.verdicts) if asked else None
    if judge and asked and asked.base_url:
        preflight.check_judge(judge)
    # first: who waits for whom how long is set up with it, and DeepSpeed's sharing out of weights while they are read
    settings = config(spec, processor)
    trainer = PerceptionTrainer(
        spec,
        judge,
        processor,
        settings,
        model=_opened(spec, folder, checkpoint),
        train_dataset=data.dataset(spec, processor),
        peft_config=_lora(spec),
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.close()
    if judge:
        judge.close()
    return trainer.stopped


def _opened(spec: RunSpec, folder: Path, checkpoint: Path | None) -> Any:
    """The model to train, as far as it has come.

    The trainer's own resume leaves Qwen2.5-VL's weights unloaded, with no more than a warning. Whole weights stay in
    float32 whatever the arithmetic is in: bfloat16 rounds steps of 1e-6 away.
    """
    lora = spec.train.lora
    where = folder if lora.rank else checkpoint or folder
    if shares.are_given(spec.train, os.environ):
        model = shares.shapes(where)
    else:
        model = open_model(where, bf16=spec.train.bf16 and bool(lora.rank), quantize=lora.quantize)
    parts.freeze(model, spec.train.freeze)
    return base.opened_under(model, folder)


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


def _keep(spec: RunSpec, base: Path, processor: Any) -> None:
    """The models of the last checkpoint and of the best, adapters merged; nothing of them is a pickle."""
    last = checkpoints.last_whole(spec.checkpoints)
    best = checkpoints.best(last) if last else None
    for found, folder in ((last, spec.model), (best, spec.best)):
        if not found:
            continue
        if spec.train.lora.rank:
            _merge(found, base, folder, bf16=spec.train.bf16)
        else:
            shutil.copytree(found, folder, ignore=_only_the_model, dirs_exist_ok=True)
        processor.save_pretrained(folder)


def _merge(adapters: Path, base: Path, folder: Path, *, bf16: bool) -> None:
    """Writes the base with the adapters in it; into whole weights, also where they were trained on 4-bit ones."""
    from peft import PeftModel

    model: Any = PeftModel.from_pretrained(open_model(base, bf16=bf16), str(adapters))
    model.merge_and_unload().save_pretrained(folder)


def _only_the_model(folder: str, names: list[str]) -> list[str]:
    """What of a checkpoint is the trainer's own."""
    return [name for name in names if not name.endswith((".safetensors", ".json", ".jinja")) or name in STATE]


STATE = (checkpoints.STATE, checkpoints.ORIGIN)


if __name__ == "__main__":
    main()
