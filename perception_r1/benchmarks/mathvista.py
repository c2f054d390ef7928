r"""MathVista testmini: 1,000 questions of 28 sources about charts, tables, diagrams and scenes.

pid            "3"
question       "Find $m\angle H$"
image          "images/3.jpg"            decoded_image   the picture
choices        ["97", "102", "107", "122"], null where the answer is free
unit           null                      said in the query only
precision      NaN, or 1.0: decimal places, a float on the hub
answer         "97"                      the text of the right choice
question_type  "multi_choice" or "free_form";   answer_type  "text", "integer", "float" or "list"
metadata       {"source": "GEOS", "task": "geometry problem solving", "skills": ["geometry reasoning"], ...}
query          the hint, the question and the choices as they are asked
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.pictures import picture
from perception_r1.evaluate.metrics import Metric, accuracy, by, labelled
from perception_r1.prompt import MARK
from perception_r1.records import AnswerType, Problem
from perception_r1.sections import PINNED, Data

DATA = Dataset(
    name="mathvista",
    repo="AI4Math/MathVista",
    revision="2b6ad69445fbb5695c9b165475e8decdbeb97747",
    parts=(Part("", "testmini", 1000),),
    others={"test": (Part("", "test", 5141),)},
    secret=("test",),
    columns={
        "pid": "string",
        "question": "string",
        "image": "string",
        "decoded_image": "image",
        "choices": "list<string>",
        "unit": "string",
        "precision": "double",
        "answer": "string",
        "question_type": "string",
        "answer_type": "string",
        "metadata": "struct",
        "query": "string",
    },
)
LABELS = ("task", "context", "category", "grade")

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    choices, about = line.texts("choices"), line.row["metadata"] or {}
    problem = Problem(
        id=f"mathvista-{line.text('pid')}",
        images=(picture(line.row["decoded_image"], line.where),),
        question=f"{MARK}{line.text('query') or line.text('question')}",
        answer=line.text("answer"),
        answer_type="letter" if choices else cast(AnswerType, line.text("answer_type")),
        source=str(about.get("source") or "MathVista"),
        group=line.text("image") or line.text("pid"),  # some pictures have several questions
        split="heldout",
    )
    labels = [f"{key}={about[key]}" for key in LABELS if about.get(key)]
    labels += [f"skill={skill}" for skill in about.get("skills") or ()]
    return Item(problem, problem.source, precision=line.row["precision"], choices=choices, labels=tuple(labels))


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Accuracy over all, by task and by skill, and without the rows whose source is Geometry3K, which RL trains on."""
    found = [accuracy("accuracy", rows)]
    found += [accuracy("without Geometry3K", [row for row in rows if row["stratum"] != "Geometry3K"])]
    found += [accuracy(task, of) for task, of in by(rows, lambda row: labelled(row, "task")).items()]
    return found + [accuracy(skill, of) for skill, of in by(rows, lambda row: labelled(row, "skill")).items()]
