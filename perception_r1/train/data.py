"""The rows that a run trains on: problems with annotations, as TRL wants them."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from perception_r1.errors import TrainingFailed
from perception_r1.prompt import messages
from perception_r1.train.spec import RunSpec

COLUMNS = ["id", "question", "answer", "answer_type", "choices", "images"]


def facts_of(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The kept annotations of each problem: (id, text)."""
    facts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in pq.read_table(path, columns=["id", "problem", "text", "dropped"]).to_pylist():
        if not row["dropped"]:
            facts[row["problem"]].append((row["id"], row["text"]))
    return facts


def rows(spec: RunSpec) -> Iterator[dict[str, Any]]:
    """Every problem of the arm that has annotations: all arms train on annotated problems, whatever their reward."""
    facts = facts_of(spec.annotations)
    for batch in pq.ParquetFile(spec.problems).iter_batches(128, columns=COLUMNS):
        for row in batch.to_pylist():
            wanted = not spec.answer_types or row["answer_type"] in spec.answer_types
            if wanted and row["id"] in facts:
                yield _row(row, facts[row["id"]], spec)


def _row(problem: dict[str, Any], facts: list[tuple[str, str]], spec: RunSpec) -> dict[str, Any]:
    choices = tuple(problem["choices"] or ())
    return {
        "prompt": messages(problem["question"], len(problem["images"]), choices, spec.train.instruction),
        "images": [{"bytes": image, "path": None} for image in problem["images"]],
        "problem": problem["id"],
        "answer": problem["answer"],
        "answer_type": problem["answer_type"],
        "choices": list(choices),
        "annotation_ids": [annotation for annotation, _ in facts],
        "annotation_texts": [text for _, text in facts],
    }


def dataset(spec: RunSpec) -> Any:
    """The rows as a datasets.Dataset whose images are decoded when they are looked at."""
    import datasets

    text = datasets.Value("string")
    features = datasets.Features(
        {
            "prompt": [{"role": text, "content": [{"type": text, "text": text}]}],
            "images": [datasets.Image()],
            **dict.fromkeys(("problem", "answer", "answer_type"), text),
            **{name: [text] for name in ("choices", "annotation_ids", "annotation_texts")},
        }
    )
    found = list(rows(spec))
    if len(found) < spec.train.prompts_per_step:
        kinds = f" of the types {', '.join(spec.answer_types)}" if spec.answer_types else ""
        raise TrainingFailed(
            f"{len(found)} annotated problems{kinds} are too few for a step of {spec.train.prompts_per_step} prompts: "
            "annotate more problems or lower train.prompts_per_step"
        )
    return datasets.Dataset.from_list(found, features=features)
