r"""We-Math testmini: 525 problems with their single steps asked as well, 1,740 rows; it tells knowing from guessing.

    ID                 "12"                  key    "2steps_1", "2steps_2", "2steps_multi", "3steps_1", ...
    question           "As shown in the figure, ... ( )."
    option             "A. 3 cm; B. 4 cm; C. 5 cm; D. No correct answer"
    answer             "B"
    image_path         the picture itself, as a struct
    knowledge concept  "Area of Triangles"   knowledge concept description, question number, split

A problem whose steps are not all right and which is right itself is rote memorisation, and so on. A problem of which a
row is missing, failed or unknown is counted as one that is not mastered: it never raises a score.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import check_letter, choices_in
from perception_r1.benchmarks.pictures import picture
from perception_r1.evaluate.metrics import Metric, accuracy, bootstrapped, by, labelled, share
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

KEYS = {
    "2steps": ("2steps_1", "2steps_2", "2steps_multi"),
    "3steps": ("3steps_1", "3steps_2", "3steps_3", "3steps_multi"),
}
PROBLEMS = 525
DATA = Dataset(
    name="wemath",
    repo="We-Math/We-Math",
    revision="527c44d4d94c4e3c7c98157460146a8b18c8420a",
    parts=(Part("", "testmini", 1740),),
    columns={
        "ID": "string",
        "split": "string",
        "knowledge concept": "string",
        "question": "string",
        "option": "string",
        "answer": "string",
        "image_path": "image",
        "key": "string",
        "question number": "string",
        "knowledge concept description": "string",
    },
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows; the steps of a problem stay together."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    choices, answer = choices_in(line.text("option")), line.text("answer")
    check_letter(answer, choices, line.where)
    problem = Problem(
        id=f"wemath-{line.text('ID')}-{line.text('key')}",
        images=(picture(line.row["image_path"], line.where),),
        question=f"{MARK}{line.text('question')}",
        answer=answer,
        answer_type="letter",
        source="We-Math",
        group=line.text("ID"),
        split="heldout",
        choices=choices,
    )
    return Item(problem, line.text("key"), labels=(f"concept={line.text('knowledge concept')}",))


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Accuracy, of all rows, by number of steps and by concept; the four dimensions and the score, strict and loose."""
    problems = [_problem(of) for of in by(rows, lambda row: [row["group"]]).values()]
    problems += [None] * (max(0, PROBLEMS - len(problems)) if whole else 0)
    found = [accuracy("accuracy", rows)]
    for rule in ("strict", "loose"):
        kinds = [_kind(problem, rule) for problem in problems]
        found.append(bootstrapped(f"score, {rule}", kinds, _score))
        found += [share(f"{kind}, {rule}", (one == kind for one in kinds)) for kind in ("CM", "RM", "IG", "IK")]
        found.append(share(f"RM rate, {rule}", (one == "RM" for one in kinds if one in ("RM", "CM"))))
    incomplete = sum(problem is None for problem in problems)
    found.append(Metric(name="incomplete problems", value=float(incomplete), n=len(problems)))
    found += [accuracy(name, of) for name, of in by(rows, _steps).items()]
    return found + [accuracy(name, of) for name, of in by(rows, lambda row: labelled(row, "concept")).items()]


def _steps(row: Mapping[str, Any]) -> list[str]:
    """S1, S2 or S3: how many steps a question takes."""
    return ["S" + (row["stratum"][0] if row["stratum"].endswith("_multi") else "1")]


def _problem(rows: Sequence[Mapping[str, Any]]) -> tuple[list[bool], bool] | None:
    """Whether each step and the whole are right; None if that is not known of every row."""
    right = {row["stratum"]: row["correct"] for row in rows}
    keys = KEYS.get(rows[0]["stratum"].partition("_")[0], ())
    if set(keys) != set(right) or len(rows) != len(keys) or None in right.values():
        return None
    return [bool(right[key]) for key in keys[:-1]], bool(right[keys[-1]])


def _kind(problem: tuple[list[bool], bool] | None, rule: str) -> str:
    """CM, RM, IG or IK; a problem that is not known whole is "incomplete", which earns nothing."""
    if problem is None:
        return "incomplete"
    steps, multi = problem
    if not multi:
        return "IG" if all(steps) else "IK"
    mastered = all(steps) if rule == "strict" else any(steps)
    return "CM" if mastered else "RM"


def _score(kinds: Sequence[str]) -> float | None:
    """(CM + IG / 2) of all problems."""
    return (kinds.count("CM") + 0.5 * kinds.count("IG")) / len(kinds) if kinds else None
