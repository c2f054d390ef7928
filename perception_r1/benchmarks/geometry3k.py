r"""Geometry3K's test split: 601 diagrams with one question each, in the form that RL work uses.

    images    [one diagram]
    problem   <image>Find x.
    answer    2 \sqrt { 221 }        (LaTeX without delimiters: the grader reads it as what it is)

Nothing is known of the pictures, so that nothing is said about seeing.
"""

import random
from collections.abc import Iterator

from perception_r1.annotate.problems import load_problems
from perception_r1.benchmarks.item import Item
from perception_r1.sections import Problems

REPO = "hiyouga/geometry3k"
REVISION = "main"  # the commit could not be looked up without a network


def items(limit: int, seed: int) -> Iterator[Item]:
    """`limit` items drawn by the seed, or all of them in their own order if it is 0."""
    problems = list(load_problems(Problems(source="hub", repo=REPO, revision=REVISION, split="test")))
    if limit:
        problems = random.Random(seed).sample(problems, min(limit, len(problems)))
    for problem in problems:
        yield Item(problem, problem.answer_type, (), precision=None)


def read(response: str, item: Item) -> tuple[int, int]:
    """No facts: none are known."""
    return 0, 0
