"""How many came through each step, from rows to problems with annotations: counted on the way, and as a picture."""

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from perception_r1.records import Annotation, Problem, Trajectory

DETAILS = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,.]*\d|\d")  # names and numbers of one row
PLACE = re.compile(r"^image \d+: ")
WIDTH, BAR, NAME = 760, 26, 330  # of the picture, in pixels
KEPT, LOST = "#4878a8", "#c9a0a0"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel as it is stored."""

    step: str
    count: int


@dataclass(slots=True)
class Tally:
    """The counts so far."""

    refusals: Counter[str] = field(default_factory=Counter)
    problems: int = 0
    trajectories: int = 0
    right: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    solved: set[str] = field(default_factory=set)  # problems with a kept trajectory
    unread: Counter[str] = field(default_factory=Counter)  # kept trajectories that could not be extracted
    annotations: int = 0
    clean: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    annotated: set[str] = field(default_factory=set)  # problems with a kept annotation

    def refuse(self, reason: str) -> None:
        """Counts a row that is of no use."""
        self.refusals[DETAILS.sub("…", PLACE.sub("", reason)).partition(":")[0]] += 1

    def say(self, trajectory: Trajectory, unread: str = "") -> None:
        """Counts a trajectory; `unread` says why its statements are missing."""
        self.trajectories += 1
        if trajectory.dropped:
            self.wrong[_sort(trajectory.dropped)] += 1
            return
        self.right += 1
        self.solved.add(trajectory.problem)
        if unread:
            self.unread[_sort(unread)] += 1

    def state(self, annotation: Annotation) -> None:
        """Counts an annotation."""
        self.annotations += 1
        if annotation.dropped:
            self.dropped[_sort(annotation.dropped)] += 1
            return
        self.clean += 1
        self.annotated.add(annotation.problem)

    def lose(self, reason: str) -> None:
        """Counts what could not even become an annotation."""
        self.annotations += 1
        self.dropped[_sort(reason)] += 1

    def steps(self) -> list[tuple[str, int]]:
        """The steps with their counts, in order; what was dropped is listed by its reason."""
        rows = self.problems + self.refusals.total()
        return [
            *([("rows", rows), *_listed("rows refused", self.refusals)] if self.refusals else []),
            ("problems", self.problems),
            ("trajectories", self.trajectories),
            *_listed("trajectories dropped", self.wrong),
            ("trajectories kept", self.right),
            ("problems with a kept trajectory", len(self.solved)),
            *_listed("trajectories without statements", self.unread),
            ("annotations", self.annotations),
            *_listed("annotations dropped", self.dropped),
            ("annotations kept", self.clean),
            ("problems with annotations", len(self.annotated)),
        ]


def funnel(
    problems: Sequence[Problem], trajectories: Sequence[Trajectory], annotations: Sequence[Annotation]
) -> list[tuple[str, int]]:
    """The steps with their counts, in order; what was dropped is listed by its reason."""
    tally = Tally(problems=len(problems))
    for trajectory in trajectories:
        tally.say(trajectory)
    for annotation in annotations:
        tally.state(annotation)
    return tally.steps()


def picture(steps: Sequence[tuple[str, int]]) -> str:
    """The steps as bars in SVG; each as long as its share of what it counts: problems, trajectories, annotations."""
    whole = {
        _counted(step): max(count for other, count in steps if _counted(other) == _counted(step)) for step, _ in steps
    }
    bars = "".join(_bar(place, step, count, whole[_counted(step)]) for place, (step, count) in enumerate(steps))
    height = BAR * len(steps) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="13" role="img"><title>From rows to annotations</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{bars}</svg>'
    )


def _bar(place: int, step: str, count: int, whole: int) -> str:
    top, long = 4 + place * BAR, round((WIDTH - NAME - 90) * count / max(whole, 1))
    colour = LOST if any(word in step for word in ("dropped", "refused", "without")) else KEPT
    return (
        f'<text x="{NAME - 10}" y="{top + 17}" text-anchor="end" fill="#333333">{html.escape(step)}</text>'
        f'<rect x="{NAME}" y="{top + 3}" width="{max(long, 1)}" height="{BAR - 8}" fill="{colour}"/>'
        f'<text x="{NAME + max(long, 1) + 6}" y="{top + 17}" fill="#333333">{count:,}</text>'
    )


def _counted(step: str) -> str:
    """What a step counts: its first word; rows become problems."""
    return step.split()[0].replace("rows", "problems")


def _sort(reason: str) -> str:
    """The sort of a reason; the details behind the colon are not counted apart."""
    return reason.partition(":")[0]


def _listed(what: str, counted: Counter[str]) -> Iterable[tuple[str, int]]:
    """The sorts of reasons, the commonest first."""
    return [(f"{what}: {sort}", n) for sort, n in sorted(counted.items(), key=lambda one: (-one[1], one[0]))]
