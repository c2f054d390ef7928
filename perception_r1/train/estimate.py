"""How much memory a GPU needs and how long a step takes, reckoned and not measured: no GPU was at hand.

Memory follows from the sizes of things; time from a published throughput. Both say what they rest on: 16 bytes a
trained parameter (float32 weights, gradients and Adam's two moments); 2 a frozen one in bfloat16, half a byte and a
little in 4 bits; 34 bytes a token, layer and unit of width for what a layer keeps for its backward pass (arXiv
2205.05198, without the attention matrix), or 2 where it is made again. Tokens per second and GPU: 1,600 for 7B on eight
H100 with EasyR1, whole steps, generation included; 0.4 of that on an A100 or A800, at which the paper's own job takes
its 16 hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from perception_r1.sections import Train

GB = 1e9
TRAINED, FROZEN, FOUR_BITS = 16.0, 2.0, 0.55  # bytes a parameter
KEPT, REMADE = 34, 2  # bytes a token, layer and unit of width
ADAPTERS = 0.02  # of the parameters, at rank 32 on every linear layer; grows with the rank
RANK = 32
OVERHEAD_GB = 4.0  # CUDA's own, buffers of the collectives, fragments
MEASURED = 8.29e9, 1600.0  # parameters, tokens a second and GPU
SPEED: Mapping[str, float] = {"H100": 1.0, "A100": 0.4}  # A800 is an A100 with slower links
PROMPT, COMPLETION = 600, 500  # tokens of a Geometry3K problem with its figure, and of a response to it

Gpu = Literal["H100", "A100"]


@dataclass(frozen=True, slots=True)
class Size:
    """What a model's memory follows from."""

    parameters: float
    width: int
    layers: int


SIZES: Mapping[str, Size] = {  # of Qwen2.5-VL, vision tower included
    "3B": Size(3.75e9, 2048, 36),
    "7B": Size(8.29e9, 3584, 28),
    "32B": Size(33.5e9, 5120, 64),
    "72B": Size(73.4e9, 8192, 80),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one GPU, in GB, and of one step in seconds."""

    states_gb: float  # weights, gradients, optimiser
    activations_gb: float
    generation_gb: float  # vLLM beside the trainer, asleep while it trains
    step_s: float

    @property
    def peak_gb(self) -> float:
        """The most that a GPU holds at once: while it trains, or while it generates."""
        return self.states_gb + OVERHEAD_GB + max(self.activations_gb, self.generation_gb)


def size_of(model: str) -> Size | None:
    """The size that a model's name says; None for one that is not known."""
    return next((size for name, size in SIZES.items() if f"-{name}" in model or model == name), None)


def estimate(train: Train, size: Size, gpu: Gpu = "A100", gpu_gb: float = 80.0) -> Estimate:
    """What the settings need of each GPU, and how long a step takes on all of them."""
    shares = 1 if train.launch == "ddp" else train.processes
    rollouts = train.prompts_per_step * train.generations
    micro = train.micro_batch or max(1, rollouts // train.processes)
    tokens = micro * (PROMPT + min(COMPLETION, train.max_completion_tokens))
    per_token = KEPT + REMADE * size.layers if train.gradient_checkpointing else KEPT * size.layers
    colocated = train.generate_with == "vllm_colocate"
    speed = MEASURED[1] * MEASURED[0] / size.parameters * SPEED[gpu] * train.processes
    return Estimate(
        _bytes(train, size) / shares / GB,
        tokens * size.width * per_token / GB,
        train.gpu_memory * gpu_gb if colocated else 0.0,
        rollouts * (PROMPT + min(COMPLETION, train.max_completion_tokens)) / speed,
    )


def _bytes(train: Train, size: Size) -> float:
    """Of weights, gradients and optimiser, over all GPUs that share them; a reference model is one more of weights."""
    if train.lora.rank:
        frozen = FOUR_BITS if train.lora.quantize == "4bit" else FROZEN
        return size.parameters * (frozen + TRAINED * ADAPTERS * train.lora.rank / RANK)
    return size.parameters * (TRAINED + (4.0 if train.kl else 0.0))


def table(gpu: Gpu = "A100", gpu_gb: float = 80.0) -> list[tuple[str, int, str, float, str, float]]:
    """(model, GPUs, way, GB a GPU, fits, seconds a step) of the paper's step, for the ways that one would think of."""
    rows = []
    for name, gpus, launch, rank in (
        ("3B", 1, "ddp", 32), ("3B", 2, "fsdp2", 0), ("3B", 8, "fsdp2", 0),
        ("7B", 1, "ddp", 32), ("7B", 8, "ddp", 0), ("7B", 4, "fsdp2", 0), ("7B", 8, "fsdp2", 0),
        ("32B", 8, "fsdp2", 32), ("32B", 16, "fsdp2", 0), ("72B", 64, "fsdp2", 0),
    ):  # fmt: skip
        train = _paper_step(gpus, launch, rank)
        found = estimate(train, SIZES[name], gpu, gpu_gb)
        way = f"{launch}, adapters of rank {rank}" if rank else launch
        rows.append((name, gpus, way, found.peak_gb, "yes" if found.peak_gb <= gpu_gb else "no", found.step_s))
    return rows


def _paper_step(gpus: int, launch: str, rank: int) -> Train:
    from perception_r1.sections import Lora

    return Train(
        processes=gpus,
        launch=launch,  # type: ignore[arg-type]
        prompts_per_step=128,
        generations=8,
        micro_batch=8,
        max_completion_tokens=4096,
        gradient_checkpointing=True,
        generate_with="vllm_colocate",
        gpu_memory=0.45,
        lora=Lora(rank=rank),
    )
