"""The parts of a vision-language model that can keep their weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from perception_r1.errors import ConfigError
from perception_r1.sections import Part

NAMES: Mapping[Part, tuple[str, ...]] = {  # a part is all parameters whose name holds one of these
    "patch_embedding": (".patch_embed.",),
    "projector": (".merger.", ".multi_modal_projector.", ".deepstack_merger_list."),
    "language": (".language_model.", "lm_head."),
    "vision": (".visual.", ".vision_tower."),  # all of it: patches and projector stand on their own
}


def part_of(name: str) -> Part | None:
    """The part that a parameter belongs to, the narrowest first."""
    dotted = f".{name}"
    return next((part for part, marks in NAMES.items() if any(mark in dotted for mark in marks)), None)


def freeze(model: Any, frozen: Sequence[Part]) -> None:
    """Takes the parts out of training; raises ConfigError where the model has no such part."""
    parts = {name: part_of(name) for name, _ in model.named_parameters()}
    for part in frozen:
        if part not in parts.values():
            known = ", ".join(sorted({name for name in parts.values() if name}))
            raise ConfigError(f"train.freeze: {type(model).__name__} has no {part}; it has {known}")
    for name, parameter in model.named_parameters():
        if parts[name] in frozen:
            parameter.requires_grad_(False)
