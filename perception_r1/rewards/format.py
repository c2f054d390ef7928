r"""Does the response have the layout that the prompt shows? With or without new lines between and inside the blocks.

<think>...</think><answer>...\boxed{...}...</answer>
"""

import re

from perception_r1.evaluate.layout import boxes
from perception_r1.records import Completion

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_LAYOUT = re.compile(r"\s*<think>(.*)</think>\s*<answer>(.*)</answer>\s*", re.DOTALL)


def format_reward(completion: Completion) -> float:
    """1 for one thought and one answer block with one box, none of them empty, and nothing beside them; else 0."""
    if any(completion.text.count(tag) != 1 for tag in _TAGS):
        return 0.0
    found = _LAYOUT.fullmatch(completion.text)
    if not found or not found[1].strip():
        return 0.0
    held = boxes(found[2]) or []
    return float(len(held) == 1 and bool(found[2][slice(*held[0])].strip()))
