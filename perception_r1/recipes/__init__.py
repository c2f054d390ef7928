"""Recipes: named sets of reward weights. One line of this table each; a recipe never forks the trainer."""

from perception_r1.sections import Weight

RECIPES: dict[str, dict[Weight, float]] = {
    # plain GRPO: the baseline that every claim is tested against
    "accuracy": {"accuracy": 1.0, "format": 0.5, "repetition": 0.5},
    # arXiv 2506.07218: the same, and what is rightly said about the picture
    "perception_r1": {"accuracy": 1.0, "format": 0.5, "repetition": 0.5, "perception": 1.0},
}
