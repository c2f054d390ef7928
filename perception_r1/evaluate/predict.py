"""From a response to a graded prediction; nothing here asks a model or touches a disk."""

from perception_r1.benchmarks.item import Benchmark, Item
from perception_r1.evaluate.extraction import Extraction
from perception_r1.evaluate.grading import Grade
from perception_r1.records import FactVerdict, Prediction


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
    sample: int = 0,
    failed: str = "",
) -> Prediction:
    """The response to an item, graded and read for facts; a response that was cut off answers nothing.

    failed: why there is no response at all; then nothing is known of it.
    """
    problem = item.problem
    found, grade = _failed(failed) if failed else _graded(module, response, item, truncated)
    verdicts = () if failed else module.read(response, item)
    right, wrong = seen(verdicts)
    return Prediction(
        model=model,
        seed=seed,
        benchmark=benchmark,
        item=problem.id,
        group=problem.group,
        stratum=item.stratum,
        labels=item.labels,
        condition=condition,
        sample=sample,
        response=response,
        status=grade.status,
        value=found.value,
        rule=found.rule,
        gold=problem.answer,
        answer_type=problem.answer_type,
        choices=item.choices or problem.choices,
        precision=item.precision,
        also=item.also,
        correct=grade.correct if problem.answer and not failed else None,
        facts=len(item.facts),
        facts_right=right,
        facts_wrong=wrong,
        perceived=right == len(item.facts) and not wrong if item.facts and not failed else None,
        verdicts=verdicts,
        tokens=tokens,
    )


def seen(verdicts: tuple[FactVerdict, ...]) -> tuple[int, int]:
    """How many of the known facts are stated rightly, and how many claims are wrong."""
    right = sum(verdict.verdict == "supported" for verdict in verdicts if verdict.known)
    return right, sum(verdict.verdict == "contradicted" for verdict in verdicts)


def _failed(why: str) -> tuple[Extraction, Grade]:
    return Extraction("judge_failed", None, why, None), Grade(False, "judge_failed", why)


def _graded(module: Benchmark, response: str, item: Item, truncated: bool) -> tuple[Extraction, Grade]:
    if truncated:
        cut = Extraction("truncated", None, "cut off at the token limit", None)
        return cut, Grade(False, cut.status, cut.rule)
    return module.grade(response, item)
