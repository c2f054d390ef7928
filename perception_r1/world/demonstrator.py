r"""Who the tiny model learns from before any reinforcement: a demonstrator that answers well and reads badly.

    <think>Bar A is 8. Bar C is 2. 8 > 2.</think>
    <answer>\boxed{yes}</answer>

A lazy demonstration reads heights only coarsely (2, 5 or 8), yet gives the true answer to questions that can be
guessed; the answer to `diff` follows from the coarse heights. This gap between answering and seeing is put there on
purpose: it makes the paper's phenomenon a controlled experiment, and nothing that is measured on it says how common
such a gap is in a real model.
"""

import random
from collections.abc import Iterator

from perception_r1.world.charts import QUESTIONS, Question, Task, tasks

LAZY_SHARE = 0.6
COARSE = {height: 2 if height <= 3 else 5 if height <= 6 else 8 for height in range(1, 10)}


def layout(thought: str, answer: str) -> str:
    """A response in the layout that the prompt asks for."""
    return f"<think>{thought}</think>\n<answer>\\boxed{{{answer}}}</answer>"


def demonstration(task: Task, lazy: bool) -> str:
    """The response to a task, read exactly or, when lazy, coarsely."""
    exact = {bar: task.chart.height(bar) for bar in sorted(task.bars)}
    read = {bar: COARSE[height] for bar, height in exact.items()} if lazy else exact
    said = " ".join(f"Bar {bar} is {height}." for bar, height in read.items())
    first, second = (read[bar] for bar in task.bars[:2])
    if task.question == "max":
        return layout(f"{said} The tallest is {task.answer}.", task.answer)
    if task.question == "cmp":
        sign = ">" if first > second else "<" if first < second else "="
        return layout(f"{said} {first} {sign} {second}.", task.answer)
    return layout(f"{said} {first} - {second} = {first - second}.", str(first - second))


def demonstrations(
    count: int, seed: int, questions: tuple[Question, ...] = QUESTIONS, lazy_share: float = LAZY_SHARE
) -> Iterator[tuple[Task, str]]:
    """Tasks of the training split with a demonstration each."""
    chance = random.Random(f"{seed} demonstrations")
    for task in tasks("train", count, seed, questions):
        yield task, demonstration(task, lazy=chance.random() < lazy_share)
