r"""MathVerse testmini: 788 problems in five versions each, whose text says ever less and whose picture ever more.

sample_index       "1"                   problem_index    "1"
problem_version    "Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant" or "Vision Only"
question           "As shown in the figure, ... \nChoices:\nA:40°\nB:50°\nC:60°\nD:70°"; empty in Vision Only
image              the picture; of Vision Only it holds the question
answer             "A", or "5\\sqrt{2}" of a free-form one
question_type      "multi-choice" or "free-form"
metadata           {"split": "testmini", "source": "GeoQA", "subject": "Plane Geometry", "subfield": "Angle"}
query_wo, query_cot    the question with an instruction
question_for_eval  the whole question, also of Vision Only: the choices are read from it
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, by_type, nothing_known
from perception_r1.benchmarks.listed import check_letter, choices_in
from perception_r1.benchmarks.pictures import picture
from perception_r1.evaluate.grading import infer_type
from perception_r1.evaluate.metrics import Metric, accuracy, bootstrapped, by, labelled, macro
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import PINNED, Data

VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
IN_THE_PICTURE = "Answer the question that is shown in the picture."
DATA = Dataset(
    name="mathverse",
    repo="AI4Math/MathVerse",
    revision="3bc86196678bad115a923d2851c6821dbe235939",
    parts=(Part("testmini", "testmini", 3940),),
    others={"testmini_text_only": (Part("testmini_text_only", "testmini_text_only", 788),)},
    columns={
        "sample_index": "string",
        "problem_index": "string",
        "problem_version": "string",
        "question": "string",
        "image": "image",
        "answer": "string",
        "question_type": "string",
        "metadata": "struct",
        "query_wo": "string",
        "query_cot": "string",
        "question_for_eval": "string",
    },
)

read, grade = nothing_known, by_type


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows; the versions of a problem stay together."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    version, answer, about = line.text("problem_version"), line.text("answer"), line.row["metadata"] or {}
    blind = version == "Text Only"
    choices = choices_in(line.text("question_for_eval")) if line.text("question_type") == "multi-choice" else ()
    check_letter(answer, choices, line.where)
    problem = Problem(
        id=f"mathverse-{line.text('sample_index')}" + ("-text-only" if blind else ""),
        images=() if blind else (picture(line.row["image"], line.where),),
        question=("" if blind else MARK) + (line.text("question") or IN_THE_PICTURE),
        answer=answer,
        answer_type="letter" if line.text("question_type") == "multi-choice" else infer_type(answer),
        source=str(about.get("source") or "MathVerse"),
        group=line.text("problem_index"),
        split="heldout",
    )
    labels = tuple(f"{key}={about[key]}" for key in ("subject", "subfield") if about.get(key))
    return Item(problem, version, choices=choices, labels=labels, imageless=blind)


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """Accuracy by version, the mean of the five, what is lost from Text Dominant to Vision Only, and by subject."""
    versions = by(rows, lambda row: [row["stratum"]])
    parts = {name: accuracy(name, of) for name, of in versions.items()}
    five = [parts[version] for version in VERSIONS if version in parts]
    # the versions of a problem go together: a mean's interval is over problems
    asked = [row for row in rows if row["stratum"] in VERSIONS]
    pooled = accuracy("accuracy", asked)
    mean = macro("accuracy", five).value
    whole_mean = pooled if mean is None or pooled.value == mean else _of_problems(asked, mean)
    found = [whole_mean, *five, *([parts["Text Only"]] if "Text Only" in parts else []), _drop(rows)]
    return found + [accuracy(subject, of) for subject, of in by(asked, lambda row: labelled(row, "subject")).items()]


def _of_problems(rows: Sequence[Mapping[str, Any]], mean: float) -> Metric:
    """The mean of the versions where some of their outcomes are not known."""

    def of(problems: Sequence[Sequence[Mapping[str, Any]]]) -> float | None:
        drawn_rows = [row for problem in problems for row in problem]
        return macro("", [accuracy("", part) for part in by(drawn_rows, lambda row: [row["stratum"]]).values()]).value

    return bootstrapped("accuracy", list(by(rows, lambda row: [row["group"]]).values()), of)


def _drop(rows: Sequence[Mapping[str, Any]]) -> Metric:
    """Text Dominant less Vision Only, over the problems whose two outcomes are known."""
    first, last = (
        {row["group"]: row["correct"] for row in rows if row["stratum"] == v} for v in (VERSIONS[0], VERSIONS[-1])
    )
    pairs = [int(first[g]) - int(last[g]) for g in first if first[g] is not None and last.get(g) is not None]
    return bootstrapped("vision drop", pairs, lambda some: sum(some) / len(some) if some else None)
