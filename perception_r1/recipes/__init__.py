"""Recipes: named sets of reward weights and controllers. One line of this table each; none forks the trainer."""

from collections.abc import Mapping
from dataclasses import dataclass

from perception_r1.sections import Kl, Weight


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is rewarded for, and how its KL weight moves."""

    weights: Mapping[Weight, float]
    gate: bool = False  # a right answer pays as far as it was seen
    kl: Kl | None = None  # None: train.kl throughout


RECIPES: Mapping[str, Recipe] = {
    # plain GRPO: the baseline that every claim is tested against
    "accuracy": Recipe({"accuracy": 1.0, "format": 0.5, "repetition": 0.5}),
    # arXiv 2506.07218: the same, and what is rightly said about the picture
    "perception_r1": Recipe({"accuracy": 1.0, "format": 0.5, "repetition": 0.5, "perception": 1.0}),
    # perception as a gate of the answer's reward, as in PaLMR (arXiv 2603.06652): a lucky guess earns nothing
    "perception_r1_gate": Recipe({"accuracy": 1.0, "format": 0.5, "repetition": 0.5, "perception": 0.5}, gate=True),
    # OThink-MR1 (arXiv 2503.16081): a KL weight that falls, then grows; its settings for counting and for geometry
    "grpo_d": Recipe({"accuracy": 1.0, "format": 1.0}, kl=Kl(schedule="grpo_d", low=0.04, high=0.1)),
    "grpo_d_geometry": Recipe({"accuracy": 1.0, "format": 1.0}, kl=Kl(schedule="grpo_d", low=0.0, high=0.02)),
}
