"""The embedded world: what is drawn can be read off the pixels, splits share nothing, a seed says everything."""

import io
import re
from typing import get_args

import pytest
from PIL import Image

from perception_r1.records import Split
from perception_r1.world.charts import BARS, Chart, Task, problems, tasks
from perception_r1.world.demonstrator import COARSE, demonstration, demonstrations


def heights_in(png: bytes) -> list[int]:
    """The heights as the picture shows them: coloured pixels in the middle of each column, eight a unit."""
    image = Image.open(io.BytesIO(png))
    assert image.size == (84, 84)
    middles = [14 + 28 * place for place in range(3)]
    return [sum(image.getpixel((x, y)) != (255, 255, 255) for y in range(84)) // 8 for x in middles]


def answer_read_off(task: Task) -> str:
    """The answer from the question's words and the picture alone."""
    height = dict(zip(BARS, heights_in(task.chart.png()), strict=True))
    if "tallest" in task.text:
        return max(height, key=lambda bar: height[bar])
    first, second = (height[bar] for bar in re.findall(r"bar ([ABC])", task.text))
    return str(first - second) if "How much" in task.text else "yes" if first > second else "no"


def test_the_picture_shows_the_facts_and_the_answer() -> None:
    for task in tasks("train", 300, seed=3):
        assert list(task.chart.heights) == heights_in(task.chart.png())
        assert task.answer == answer_read_off(task)
        assert task.facts == tuple(f"Bar {bar} is {task.chart.height(bar)}." for bar in "ABC" if bar in task.bars)


def test_splits_never_share_an_image() -> None:
    shown = {split: {p.images[0] for p in problems(split, 400, seed=1)} for split in get_args(Split)}
    assert [len(images) for images in shown.values()] == [400, 400, 400]
    assert not shown["train"] & shown["validation"] | shown["train"] & shown["heldout"]
    assert not shown["validation"] & shown["heldout"]


def test_a_seed_says_everything() -> None:
    assert list(problems("heldout", 30, seed=5)) == list(problems("heldout", 30, seed=5))
    assert list(problems("heldout", 30, seed=5)) != list(problems("heldout", 30, seed=6))


def test_problems_do_not_give_their_facts_away() -> None:
    for problem in problems("train", 60, seed=0):
        assert problem.question.startswith("<image>")
        assert not re.search(r"\d", problem.question)
        assert (problem.answer_type == "letter") == (problem.choices == BARS)


def test_answers_are_about_as_guessable_as_is_claimed() -> None:
    answers: dict[str, list[str]] = {}
    for task in tasks("train", 1500, seed=0):
        answers.setdefault(task.question, []).append(task.answer)
    commonest = {q: max(map(given.count, set(given))) / len(given) for q, given in answers.items()}
    assert commonest["cmp"] < 0.56
    assert commonest["max"] < 0.4
    assert commonest["diff"] < 0.3


TASK = Task(Chart((7, 4, 9), ("red",) * 3, (10, 10, 10)), "cmp", ("A", "B"))


@pytest.mark.parametrize(
    ("question", "bars", "lazy", "said"),
    [
        ("cmp", ("A", "B"), False, "<think>Bar A is 7. Bar B is 4. 7 > 4.</think>\n<answer>\\boxed{yes}</answer>"),
        ("cmp", ("B", "A"), True, "<think>Bar A is 8. Bar B is 5. 5 < 8.</think>\n<answer>\\boxed{no}</answer>"),
        ("cmp", ("C", "A"), True, "<think>Bar A is 8. Bar C is 8. 8 = 8.</think>\n<answer>\\boxed{yes}</answer>"),
        ("diff", ("C", "A"), False, "<think>Bar A is 7. Bar C is 9. 9 - 7 = 2.</think>\n<answer>\\boxed{2}</answer>"),
        ("diff", ("C", "A"), True, "<think>Bar A is 8. Bar C is 8. 8 - 8 = 0.</think>\n<answer>\\boxed{0}</answer>"),
        (
            "max",
            BARS,
            True,
            "<think>Bar A is 8. Bar B is 5. Bar C is 8. The tallest is C.</think>\n<answer>\\boxed{C}</answer>",
        ),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_lazy_demonstrator_answers_well_and_reads_badly(question, bars, lazy, said) -> None:  # type: ignore[no-untyped-def]
    assert demonstration(Task(TASK.chart, question, bars), lazy) == said


def test_three_in_five_demonstrations_are_lazy() -> None:
    given = list(demonstrations(2000, seed=0))
    coarse_heights = set(COARSE.values())
    exact = sum(any(int(h) not in coarse_heights for h in re.findall(r"is (\d)", said)) for _, said in given)
    # two thirds of exact readings name a height that no coarse one does, for each of two or three bars
    assert 0.33 < exact / 2000 < 0.41
