"""What running out of memory means, and which knob to turn."""

from perception_r1.train.spec import RunSpec

WORDS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of a GPU or of the machine."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in WORDS)


def advice(spec: RunSpec) -> str:
    """The cause and the knobs, those that change nothing in what is learnt first."""
    train = spec.train
    micro = train.micro_batch or train.prompts_per_step * train.generations // train.processes
    knobs = [f"train.micro_batch={micro // 2}"] if micro > 1 else []
    knobs += [] if train.gradient_checkpointing else ["train.gradient_checkpointing=true"]
    knobs += ["train.launch='fsdp2'"] if train.launch == "ddp" and train.processes > 1 else []
    knobs += [f"train.gpu_memory={train.gpu_memory / 2:.2g}"] if train.generate_with == "vllm_colocate" else []
    knobs += [
        "train.max_pixels lower" if train.max_pixels else "train.max_pixels=602112",
        "train.max_completion_tokens lower",
    ]
    knobs += [] if train.lora.rank else ["train.lora.rank=32"]
    return f"out of memory; in this order: --set {', '.join(knobs)}"
