"""How good annotations of the embedded world are, against what was drawn: measured, and nothing is made from it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from perception_r1 import sections
from perception_r1.errors import ConfigError
from perception_r1.records import Annotation
from perception_r1.world import charts

HEIGHT = re.compile(r"Bar ([A-C]) is (\d+)\.")


@dataclass(frozen=True, slots=True)
class Quality:
    """Kept annotations, how many are true and how many false, and the share of all facts of all problems they cover."""

    annotations: int
    right: int
    wrong: int  # what is neither cannot be told: it is no statement of a height
    coverage: float


def quality(problems: sections.Problems, annotations: Sequence[Annotation]) -> Quality:
    """The kept annotations of the world's problems, measured; raises ConfigError where nothing was drawn."""
    if problems.source != "world":
        raise ConfigError(f"problems of source {problems.source!r} have no known facts to measure annotations against")
    drawn = charts.tasks("train", problems.count, problems.seed, problems.questions)
    tasks = {f"train-{number:06}-{task.question}": task for number, task in enumerate(drawn)}
    kept = [annotation for annotation in annotations if not annotation.dropped]
    heights = [(tasks[one.problem], height) for one in kept if (height := HEIGHT.fullmatch(one.text))]
    right = sum(task.chart.height(height[1]) == int(height[2]) for task, height in heights)
    stated = {(one.problem, one.text) for one in kept}
    facts = [(name, fact) for name, task in tasks.items() for fact in task.facts]
    covered = sum(fact in stated for fact in facts)
    return Quality(len(kept), right, len(heights) - right, covered / len(facts) if facts else 0.0)
