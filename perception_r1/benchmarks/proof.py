"""A benchmark proves itself without a model: on every item the gold answer is right, and what is not is wrong."""

from collections.abc import Iterator

from perception_r1.benchmarks.item import Benchmark, Item
from perception_r1.errors import BadProblem
from perception_r1.evaluate import grade_answer
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.grading import gold_letter


def prove(benchmark: Benchmark, seed: int, limit: int = 0) -> int:
    """How many items were proved; raises BadProblem at the first whose grading or facts cannot be right."""
    proved, known = 0, set()
    for item in benchmark.items(limit, seed):
        for complaint in _complaints(benchmark, item):
            raise BadProblem(f"item {item.problem.id}: {complaint}")
        if item.problem.id in known:
            raise BadProblem(f"item {item.problem.id}: its id is another item's too; ids pair the models' responses")
        known.add(item.problem.id)
        proved += 1
    return proved


def _complaints(benchmark: Benchmark, item: Item) -> Iterator[str]:
    gold = item.problem.answer
    if not item.problem.images:
        yield "it has no image"
    if not _right(gold, item):
        yield f"its own answer {gold!r} is graded wrong as {item.problem.answer_type}"
    if _right("", item) or grade_answer("", gold, item.problem.answer_type).correct:
        yield "an empty answer is graded right"
    for wrong in _wrong_answers(item):
        if _right(wrong, item):
            yield f"{wrong!r} is graded right although the answer is {gold!r}"
    stated = f"<think>{' '.join(item.facts)}</think>"
    if benchmark.read(stated, item) != (len(item.facts), 0):
        yield f"its own facts are not read as right: {stated}"
    if benchmark.read("", item) != (0, 0):
        yield "facts are read where nothing was said"


def _right(answer: str, item: Item) -> bool:
    problem = item.problem
    response = f"<think>...</think>\n<answer>\\boxed{{{answer}}}</answer>"
    choices = lettered(problem.choices) or None
    return grade_answer(response, problem.answer, problem.answer_type, item.precision, choices).correct


def _wrong_answers(item: Item) -> Iterator[str]:
    """Every other choice, or what is certainly something else."""
    choices = lettered(item.problem.choices)
    if choices:
        yield from sorted(choices.keys() - {gold_letter(item.problem.answer, choices)})
    elif item.problem.answer_type == "yes_no":
        yield {"yes": "no", "no": "yes"}[item.problem.answer.casefold()]
    else:
        yield f"{item.problem.answer} + 1"
        yield f"{item.problem.answer} or 1"
