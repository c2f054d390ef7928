"""A benchmark proves itself without a model: on every item the gold answer is right, and what is not is wrong."""

from collections.abc import Iterator

from perception_r1.benchmarks.item import Benchmark, Item
from perception_r1.errors import BadProblem
from perception_r1.evaluate.grading import gold_letter
from perception_r1.evaluate.predict import seen
from perception_r1.sections import PINNED, Data


def prove(benchmark: Benchmark, seed: int, limit: int = 0, data: Data = PINNED) -> int:
    """How many items were proved; raises BadProblem at the first whose grading or facts cannot be right."""
    proved, known = 0, set()
    for item in benchmark.items(limit, seed, data):
        for complaint in _complaints(benchmark, item):
            raise BadProblem(f"item {item.problem.id}: {complaint}")
        if item.problem.id in known:
            raise BadProblem(f"item {item.problem.id}: its id is another item's too; ids pair the models' responses")
        known.add(item.problem.id)
        proved += 1
    return proved


def _complaints(benchmark: Benchmark, item: Item) -> Iterator[str]:
    gold = item.problem.answer
    if not item.problem.images and not item.imageless:
        yield "it has no image"
    if not item.problem.question.strip():
        yield "it asks nothing"
    if not gold:
        yield from _secret(benchmark, item)
        return
    for right in (gold, *item.also):
        if not _right(benchmark, right, item):
            yield f"its own answer {right!r} is graded wrong as {item.problem.answer_type}"
    if _right(benchmark, "", item) or benchmark.grade("", item)[1].correct:
        yield "an empty answer is graded right"
    for wrong in _wrong_answers(item):
        if _right(benchmark, wrong, item):
            yield f"{wrong!r} is graded right although the answer is {gold!r}"
    stated = f"<think>{' '.join(item.facts)}</think>"
    if seen(benchmark.read(stated, item)) != (len(item.facts), 0):
        yield f"its own facts are not read as right: {stated}"
    if seen(benchmark.read("", item)) != (0, 0):
        yield "facts are read where nothing was said"


def _secret(benchmark: Benchmark, item: Item) -> Iterator[str]:
    if any(benchmark.grade(f"\\boxed{{{said}}}", item)[1].correct for said in ("", "A", "1", "yes")):
        yield "it is graded right although its answer is secret"


def _right(benchmark: Benchmark, answer: str, item: Item) -> bool:
    response = f"<think>...</think>\n<answer>\\boxed{{{answer}}}</answer>"
    return benchmark.grade(response, item)[1].correct


def _wrong_answers(item: Item) -> Iterator[str]:
    """Every other choice, or what is certainly something else."""
    choices, gold = item.options, item.problem.answer
    if choices and (letter := gold_letter(gold, choices)):
        yield from sorted(choices.keys() - {letter})
    elif item.problem.answer_type == "yes_no":
        yield from {"yes": ["no"], "1": ["no"], "no": ["yes"], "0": ["yes"]}[gold.casefold()]
    elif item.problem.answer_type == "letter":
        yield from sorted(set("ABCDE") - set(gold))
    else:
        yield f"{gold} + 1"
        yield f"{gold} or 1"
