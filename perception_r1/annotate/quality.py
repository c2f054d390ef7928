"""How good annotations are, against what is known of the pictures: measured, and nothing is made from it.

The truth is what was drawn (the embedded world) or a diagram's own logic forms. A kept annotation that says a known
fact is right; one that gives a known thing another number is wrong; of any other nothing is known, and it counts as
neither. Intervals are Wilson's, of 95 %.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from perception_r1 import sections
from perception_r1.annotate.given import given_statements
from perception_r1.annotate.problems import Given
from perception_r1.annotate.statements import Key, Quantity, key_of
from perception_r1.errors import ConfigError
from perception_r1.records import Annotation, FactType
from perception_r1.world import charts

Truth = Mapping[str, Sequence[tuple[str, FactType]]]  # of each problem: text and type


@dataclass(frozen=True, slots=True)
class TypeQuality:
    """Precision and recall of the annotations of one type, or of all."""

    type: str
    kept: int
    right: int
    wrong: int
    precision: float | None  # of those that are right or wrong; None where there are none
    precision_low: float | None
    precision_high: float | None
    facts: int
    found: int
    recall: float | None
    recall_low: float | None
    recall_high: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """Kept annotations, how many are true and how many false, and the share of all facts of all problems they cover."""

    annotations: int
    right: int
    wrong: int  # what is neither cannot be told: it is no statement of a known thing
    coverage: float
    by_type: tuple[TypeQuality, ...] = field(default=(), compare=False)  # all, then each type that occurs


def quality(problems: sections.Problems, annotations: Sequence[Annotation]) -> Quality:
    """The kept annotations of the world's problems, measured; raises ConfigError where nothing was drawn."""
    if problems.source != "world":
        raise ConfigError(f"problems of source {problems.source!r} have no known facts to measure annotations against")
    return measured(world_truth(problems), annotations)


def world_truth(problems: sections.Problems) -> Truth:
    """What was drawn, and the question is about."""
    drawn = charts.tasks("train", problems.count, problems.seed, problems.questions)
    return {
        f"train-{number:06}-{task.question}": tuple((fact, "length") for fact in task.facts)
        for number, task in enumerate(drawn)
    }


def form_truth(given: Iterable[Given]) -> Truth:
    """What the diagrams' own logic forms say; a problem without any is not measured."""
    forms: dict[str, list[Given]] = defaultdict(list)
    for one in given:
        if one.kind == "logic_form":
            forms[one.problem].append(one)
    said = {problem: given_statements(some)[0] for problem, some in forms.items()}
    return {problem: tuple((one.text, one.type) for one in found) for problem, found in said.items()}


def measured(truth: Truth, annotations: Sequence[Annotation]) -> Quality:
    """The kept annotations of the problems of which the truth is known, measured."""
    keys = {problem: {key_of(text): kind for text, kind in facts} for problem, facts in truth.items()}
    kept = [one for one in annotations if not one.dropped and one.problem in keys]
    said = [(one, _judged(key_of(one.text), keys[one.problem])) for one in kept]
    stated = {(one.problem, key_of(one.text)) for one in kept}
    facts = [(kind, (problem, key) in stated) for problem, known in keys.items() for key, kind in known.items()]
    rows = [_row("all", said, facts)]
    for kind in dict.fromkeys([*(one.type for one, _ in said), *(kind for kind, _ in facts)]):
        rows.append(_row(kind, [s for s in said if s[0].type == kind], [f for f in facts if f[0] == kind]))
    whole = rows[0]
    return Quality(whole.kept, whole.right, whole.wrong, whole.recall or 0.0, tuple(rows))


def _judged(key: Key, known: Mapping[Key, FactType]) -> bool | None:
    """Whether it is true; None where nothing is known of it."""
    if key in known:
        return True
    things = {one.subject for one in known if isinstance(one, Quantity)}
    return False if isinstance(key, Quantity) and key.subject in things else None


def _row(
    kind: str, said: Sequence[tuple[Annotation, bool | None]], facts: Sequence[tuple[FactType, bool]]
) -> TypeQuality:
    right = sum(judged is True for _, judged in said)
    wrong = sum(judged is False for _, judged in said)
    found = sum(covered for _, covered in facts)
    p, p_low, p_high = _share(right, right + wrong)
    r, r_low, r_high = _share(found, len(facts))
    return TypeQuality(kind, len(said), right, wrong, p, p_low, p_high, len(facts), found, r, r_low, r_high)


def _share(k: int, n: int) -> tuple[float, float, float] | tuple[None, None, None]:
    from perception_r1.compare.proportion import proportion_ci  # scipy takes half a second to import

    if not n:
        return None, None, None
    interval = proportion_ci(k, n).wilson
    return k / n, interval.low, interval.high
