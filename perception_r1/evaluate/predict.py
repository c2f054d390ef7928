"""From a response to a graded prediction; nothing here asks a model or touches a disk."""

from perception_r1.benchmarks.item import Benchmark, Item
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.extraction import Extraction
from perception_r1.evaluate.grading import Grade, graded
from perception_r1.records import Prediction


def prediction(
    *,
    model: str,
    seed: int,
    benchmark: str,
    module: Benchmark,
    item: Item,
    condition: str,
    response: str,
    tokens: int,
    truncated: bool,
) -> Prediction:
    """The response to an item, graded and read for facts; a response that was cut off answers nothing."""
    problem = item.problem
    found, grade = _graded(response, item, truncated)
    right, wrong = module.read(response, item)
    return Prediction(
        model=model,
        seed=seed,
        benchmark=benchmark,
        item=problem.id,
        group=problem.group,
        stratum=item.stratum,
        condition=condition,
        response=response,
        status=grade.status,
        value=found.value,
        rule=found.rule,
        gold=problem.answer,
        correct=grade.correct,
        facts=len(item.facts),
        facts_right=right,
        facts_wrong=wrong,
        perceived=right == len(item.facts) and not wrong if item.facts else None,
        tokens=tokens,
    )


def _graded(response: str, item: Item, truncated: bool) -> tuple[Extraction, Grade]:
    if truncated:
        cut = Extraction("truncated", None, "cut off at the token limit", None)
        return cut, Grade(False, cut.status, cut.rule)
    problem = item.problem
    return graded(response, problem.answer, problem.answer_type, item.precision, lettered(problem.choices) or None)
