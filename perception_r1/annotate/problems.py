"""Problems in: from the embedded world, from a dataset of the hub, or from Parquet files with the same columns.

images     [{"bytes": b"\\x89PNG…"}]     required; PNG and JPEG stay as they are, other still pictures become PNG
problem    <image>How long is AB?       required; a mark for each image, or none at all: then they come first
answer     5                            required
choices, answer_type, id, source        where they are there
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, cast, get_args

from perception_r1 import sections
from perception_r1.errors import BadProblem, ConfigError
from perception_r1.records import AnswerType, Problem, Split
from perception_r1.world import charts

MARK = "<image>"
REQUIRED = ("images", "problem", "answer")
LETTERS = "ABCDEFGHIJ"
MOST_PIXELS = 50_000_000  # a picture of a few kilobytes can unpack to gigabytes
MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}  # others lose what they show when they are turned into RGB
AS_THEY_ARE = {"PNG", "JPEG"}
SPLITS: Mapping[str, Split] = {"test": "heldout", "validation": "validation", "val": "validation"}
ROWS_AT_ONCE = 16  # a row may hold megabytes

Row = Mapping[str, Any]


def load_problems(settings: sections.Problems) -> Iterator[Problem]:
    """The problems that the settings name, one at a time; raises BadProblem that names the row that cannot be used."""
    if settings.source == "world":
        return charts.problems("train", settings.count, settings.seed, settings.questions)
    rows, name = (_hub(settings), settings.repo) if settings.source == "hub" else _files(Path(settings.path))
    return islice(_problems(rows, name, SPLITS.get(settings.split, "train")), settings.count or None)


def answer_type_of(answer: str, choices: tuple[str, ...] = ()) -> AnswerType:
    """The type of an answer that comes without one."""
    if len(answer) == 1 and answer in (LETTERS[: len(choices)] if choices else LETTERS):
        return "letter"
    if answer.casefold() in {"yes", "no"}:
        return "yes_no"
    if re.fullmatch(r"[-+]?(\d+|\d{1,3}(,\d{3})+)", answer):
        return "integer"
    return "float" if re.fullmatch(r"[-+]?\d*\.\d+", answer) else "math"


def _files(path: Path) -> tuple[Iterator[Row], str]:
    """The rows of a Parquet file, or of all those of a folder by their names."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ConfigError(f"annotate.problems.path: there is no Parquet file at {path}")
    return (row for file in files for row in _file(file)), path.stem


def _file(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for some in file.iter_batches(batch_size=ROWS_AT_ONCE):
                yield from some.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path} cannot be read as Parquet: {error}") from None


def _hub(settings: sections.Problems) -> Iterator[Row]:
    """The rows of a dataset of the hub, streamed, with their pictures still encoded."""
    import datasets

    try:
        rows = datasets.load_dataset(
            settings.repo, revision=settings.revision or None, split=settings.split, streaming=True
        )
    except (OSError, ValueError) as error:  # not there, not reachable, no such split
        raise ConfigError(f"annotate.problems: {settings.repo} cannot be opened: {error}") from None
    yield from rows.decode(False)


def _problems(rows: Iterator[Row], name: str, split: Split) -> Iterator[Problem]:
    """The rows as problems; no two of them may have one id."""
    seen: set[str] = set()
    for number, row in enumerate(rows):
        where = f"{name}, row {number}"
        lacking = [column for column in REQUIRED if column not in row]
        if lacking:
            raise ConfigError(f"{name} has no column {lacking[0]!r}; it has {', '.join(row)}; rename what holds it")
        problem = _problem(row, where, f"{name.rpartition('/')[2]}-{number:06}", name, split)
        if problem.id in seen:
            raise BadProblem(f"{where}: the id {problem.id!r} was there before; ids must differ")
        seen.add(problem.id)
        yield problem


def _problem(row: Row, where: str, fallback_id: str, name: str, split: Split) -> Problem:
    """One row as a problem."""
    images = tuple(_picture(image, f"{where}, image {place}") for place, image in enumerate(row["images"] or ()))
    if not images:
        raise BadProblem(f"{where}: no image")
    choices = tuple(str(choice) for choice in row.get("choices") or ())
    answer = _answer(row, choices, where)
    return Problem(
        id=str(fallback_id if row.get("id") is None else row["id"]),
        images=images,
        question=_question(row["problem"], len(images), where),
        answer=answer,
        answer_type=_type(row, answer, choices, where),
        source=str(row.get("source") or name),
        group=hashlib.sha256(b"".join(hashlib.sha256(image).digest() for image in images)).hexdigest()[:16],
        split=split,
        choices=choices,
    )


def _question(text: Any, images: int, where: str) -> str:
    """The question with a mark for each image."""
    if not isinstance(text, str) or not text.replace(MARK, "").strip():
        raise BadProblem(f"{where}: no question")
    marks = text.count(MARK)
    if marks not in (0, images):
        raise BadProblem(f"{where}: {marks} {MARK} marks for {images} images")
    return text if marks else MARK * images + text


def _answer(row: Row, choices: tuple[str, ...], where: str) -> str:
    """The right answer; that of a choice is its letter."""
    answer = "" if row["answer"] is None else str(row["answer"]).strip()
    if not answer:
        raise BadProblem(f"{where}: no answer")
    is_letter = len(answer) == 1 and answer in LETTERS[: len(choices)]
    return LETTERS[choices.index(answer)] if answer in choices[: len(LETTERS)] and not is_letter else answer


def _type(row: Row, answer: str, choices: tuple[str, ...], where: str) -> AnswerType:
    said = row.get("answer_type")
    if not said:
        return answer_type_of(answer, choices)
    if said not in get_args(AnswerType):
        raise BadProblem(f"{where}: answer_type {said!r} is unknown; known: {', '.join(get_args(AnswerType))}")
    return cast(AnswerType, said)


def _picture(value: Any, where: str) -> bytes:
    """The bytes of a picture that opens: PNG or JPEG."""
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(data, bytes) or not data:
        raise BadProblem(f"{where}: no bytes; a path alone is not followed, embed the picture")
    return _opened(data, where)


def _opened(data: bytes, where: str) -> bytes:
    from PIL import Image

    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(data)) as image,
        ):
            _check_size(image, where)
            image.load()
            return data if image.format in AS_THEY_ARE else _as_png(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadProblem(f"{where}: does not open: {error}") from None


def _check_size(image: Any, where: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise BadProblem(f"{where}: {image.width} x {image.height} pixels are more than {MOST_PIXELS:,}")
    if image.mode not in MODES:
        raise BadProblem(f"{where}: a picture of mode {image.mode}; convert it to RGB")
    if getattr(image, "n_frames", 1) > 1:
        raise BadProblem(f"{where}: an animation of {image.n_frames} pictures; choose one")


def _as_png(image: Any) -> bytes:
    data = io.BytesIO()
    image.convert("RGB").save(data, "PNG")
    return data.getvalue()
