"""How many came through each step, from problems to problems with annotations."""

from collections import Counter
from collections.abc import Iterable, Sequence

from perception_r1.records import Annotation, Problem, Trajectory


def funnel(
    problems: Sequence[Problem], trajectories: Sequence[Trajectory], annotations: Sequence[Annotation]
) -> list[tuple[str, int]]:
    """The steps with their counts, in order; what was dropped is listed by its reason."""
    right = [trajectory.problem for trajectory in trajectories if not trajectory.dropped]
    clean = [annotation.problem for annotation in annotations if not annotation.dropped]
    return [
        ("problems", len(problems)),
        ("trajectories", len(trajectories)),
        *_dropped("trajectories", (trajectory.dropped for trajectory in trajectories)),
        ("trajectories kept", len(right)),
        ("problems with a kept trajectory", len(set(right))),
        ("annotations", len(annotations)),
        *_dropped("annotations", (annotation.dropped for annotation in annotations)),
        ("annotations kept", len(clean)),
        ("problems with annotations", len(set(clean))),
    ]


def _dropped(what: str, reasons: Iterable[str]) -> list[tuple[str, int]]:
    """The sorts of reasons, the commonest first; the details behind the colon are not counted apart."""
    counted = Counter(reason.partition(":")[0] for reason in reasons if reason)
    return [(f"{what} dropped: {sort}", n) for sort, n in sorted(counted.items(), key=lambda one: (-one[1], one[0]))]
