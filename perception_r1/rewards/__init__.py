"""Rewards: one file and one line of this table each. A reward of None is not known, and never counts as 0."""

from collections.abc import Callable, Mapping

from perception_r1.records import Completion
from perception_r1.rewards.accuracy import accuracy_reward
from perception_r1.rewards.format import format_reward
from perception_r1.rewards.overlong import overlong_reward
from perception_r1.rewards.perception import perception_reward
from perception_r1.rewards.repetition import paper_repetition_reward, repetition_reward

REWARDS: Mapping[str, Callable[[Completion], float | None]] = {
    "accuracy": accuracy_reward,
    "format": format_reward,
    "repetition": repetition_reward,
    "perception": perception_reward,
    "paper_repetition": paper_repetition_reward,
    "overlong": overlong_reward,
}
