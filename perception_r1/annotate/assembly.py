"""The annotations of one problem, put together from what was said of it; every step is counted on the way."""

from collections.abc import Sequence
from dataclasses import replace

from perception_r1 import sections
from perception_r1.annotate.extract import Extracted, Found
from perception_r1.annotate.funnel import Tally
from perception_r1.annotate.given import given_statements
from perception_r1.annotate.hygiene import cleaned
from perception_r1.annotate.problems import Given
from perception_r1.records import Annotation, Problem, Trajectory


def from_trajectories(
    problem: Problem,
    said: Sequence[Trajectory],
    extracted: Sequence[Extracted],
    settings: sections.Annotate,
    origin: str,
    tally: Tally,
) -> list[Annotation]:
    """The annotations that the statements of a problem's trajectories become."""
    unread = {one.trajectory: one.failure for one in extracted if one.failure}
    for trajectory in said:
        tally.say(trajectory, unread.get(trajectory.id, ""))
    kept = [one for one in said if not one.dropped and one.id not in unread]
    found = [Found(one.problem, one.trajectory, one.text, one.type) for one in extracted if not one.failure]
    return _counted(cleaned(problem, kept, found, settings, origin), tally)


def from_given(
    problem: Problem, given: Sequence[Given], settings: sections.Annotate, origin: str, tally: Tally
) -> list[Annotation]:
    """The annotations that the data set has of a problem. One source says each once, so that support means nothing."""
    kind = "logic_form" if settings.origin == "logic_forms" else "annotation"
    found, unknown = given_statements([one for one in given if one.kind == kind])
    for reason in unknown:
        tally.lose(reason)
    drawn = settings.origin == "logic_forms"  # what a diagram's own form says is no deduction
    rules = replace(settings, min_support=1, min_share=0.0, drop_deductions=settings.drop_deductions and not drawn)
    return _counted(cleaned(problem, (), found, rules, origin), tally)


def _counted(annotations: list[Annotation], tally: Tally) -> list[Annotation]:
    for annotation in annotations:
        tally.state(annotation)
    return annotations
