"""Geometry3K as Inter-GPS released it: a folder a problem, below the folder of its split.

    train/11/data.json          {"id": 11, "compact_text": "Find x.", "choices": ["30", "40"], "answer": "B", …}
    train/11/logic_form.json    {"diagram_logic_form": ["Equals(LengthOf(Line(A, B)), 30)"], …}
    train/11/img_diagram.png, img_diagram_point.png (with the name of each point), img_problem.png

A row is both files together: the question is `compact_text` (AB; the others write A B), each picture is a column of
its file's name, and `images` is the diagram as the textbook has it. The logic forms speak of all points, also of those
that only img_diagram_point.png names.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perception_r1.errors import BadProblem, ConfigError

SPLITS = ("train", "val", "test")
PICTURES = ("img_diagram", "img_diagram_point", "img_problem")


def problem_files(folder: Path) -> list[Path]:
    """The data.json of every problem, in the order of splits and numbers; raises ConfigError where there is none."""
    found = [*folder.glob("*/data.json"), *(file for split in SPLITS for file in folder.glob(f"{split}/*/data.json"))]
    if not found:
        raise ConfigError(
            f"annotate.problems.path: there is no problem in {folder}; expected train/NUMBER/data.json with "
            "logic_form.json and img_diagram.png beside it, as in the release of Inter-GPS"
        )
    return sorted(found, key=lambda file: (str(file.parent.parent), _numbered(file.parent.name)))


def _numbered(name: str) -> list[tuple[int, str]]:
    """9 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", name)]


def problem_rows(folder: Path) -> Iterator[dict[str, Any] | BadProblem]:
    """A row a problem; what cannot be read comes as a BadProblem in its place."""
    for file in problem_files(folder):
        try:
            yield _row(folder, file.parent)
        except BadProblem as reason:
            yield reason


def _row(folder: Path, place: Path) -> dict[str, Any]:
    row = _object(place / "data.json")
    forms = _object(place / "logic_form.json") if (place / "logic_form.json").is_file() else {}
    pictures = {name: str((place / f"{name}.png").relative_to(folder)) for name in PICTURES}
    return {
        **row,
        **forms,
        **pictures,
        "problem": row.get("compact_text") or row.get("problem_text"),
        "images": pictures["img_diagram"],
        "split": place.parent.name if place.parent.name in SPLITS else row.get("data_type"),
        "source": "geometry3k",  # data.json names the textbook
    }


def _object(file: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadProblem(f"{file.parent.name}/{file.name}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadProblem(f"{file.parent.name}/{file.name}: no JSON object but {type(found).__name__}")
    return found
