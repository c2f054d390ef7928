"""Problems in: from the embedded world, the hub, Parquet or JSON lines, a folder of pictures or of problems.

images     [{"bytes": b"\\x89PNG…"}]     required, one or a list; PNG and JPEG stay as they are, others become PNG
problem    <image>How long is AB?       required; a mark for each image, or none at all: then they come first
answer     5                            required; proved against our own grader
choices, answer_type, id, source, group, split      where they are there

`annotate.problems.columns` says which column holds what, where the names differ. A row that cannot be used is refused
with its reason, and the others go on; with `strict`, or where nobody keeps a list of refusals, it ends the reading.
"""

import difflib
import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from perception_r1 import sections
from perception_r1.annotate.golds import normalised, unproven
from perception_r1.annotate.pictures import picture
from perception_r1.annotate.sources import Row, folder_of, rows_of
from perception_r1.errors import BadProblem, ConfigError
from perception_r1.records import AnswerType, Problem, Split
from perception_r1.world import charts

MARK = "<image>"
REQUIRED = ("images", "question", "answer")
LONGEST = 500  # of a reason, in characters: it may quote a row
LETTERS = "ABCDEFGHIJ"
SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "heldout", "held-out"), "heldout"),
}
TAGGED = re.compile(r"<info(\d+)>(.*?)</info\1>", re.DOTALL)  # the paper's visual_key_info: one text with tags in it

GivenKind = Literal["response", "annotation", "logic_form"]


@dataclass(frozen=True, slots=True)
class Given:
    """What a data set says of a problem beside the problem itself: a response, a ready annotation, a logic form."""

    problem: str
    kind: GivenKind
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that is of use."""

    problem: Problem
    given: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is of no use."""

    row: str  # where it stands
    problem: str  # its id, where it could be read
    reason: str


def load_problems(settings: sections.Problems, refusals: list[Refusal] | None = None) -> Iterator[Problem]:
    """The problems that the settings name, one at a time; a row of no use joins `refusals`, or raises BadProblem."""
    for each in taken(settings):
        if isinstance(each, Taken):
            yield each.problem
        elif refusals is None:
            raise BadProblem(f"{each.row}: {each.reason}")
        else:
            refusals.append(each)


def taken(
    settings: sections.Problems, kinds: tuple[GivenKind, ...] = (), beside: tuple[GivenKind, ...] = ()
) -> Iterator[Taken | Refusal]:
    """The rows in their order, with what is given of those kinds, which must be there, and of those beside them.

    Raises BadProblem at the first refusal if strict.
    """
    if settings.source == "world":
        for problem in charts.problems("train", settings.count, settings.seed, settings.questions):
            yield Taken(problem, ())
        return
    left = settings.count or -1
    for each in _Reader(settings, kinds, beside).read():
        if isinstance(each, Refusal) and settings.strict:
            raise BadProblem(f"{each.row}: {each.reason}")
        yield each
        left -= isinstance(each, Taken)
        if not left:
            return


def answer_type_of(answer: str, choices: tuple[str, ...] = ()) -> AnswerType:
    """The type of an answer that comes without one."""
    if len(answer) == 1 and answer in (LETTERS[: len(choices)] if choices else LETTERS):
        return "letter"
    if answer.casefold() in {"yes", "no"}:
        return "yes_no"
    if re.fullmatch(r"[-+]?(\d+|\d{1,3}(,\d{3})+)", answer):
        return "integer"
    return "float" if re.fullmatch(r"[-+]?\d*\.\d+", answer) else "math"


class _Reader:
    """Reads the rows of one data set; remembers the ids that it has seen."""

    def __init__(
        self, settings: sections.Problems, kinds: tuple[GivenKind, ...], beside: tuple[GivenKind, ...]
    ) -> None:
        self._rows, self._name = rows_of(settings)
        self._settings, self._columns, self._kinds = settings, settings.columns, kinds
        self._beside = (*kinds, *(kind for kind in beside if kind not in kinds))
        self._folder = folder_of(settings)
        self._seen: set[str] = set()

    def read(self) -> Iterator[Taken | Refusal]:
        """Every row of the wanted split."""
        first = True
        for number, row in enumerate(self._rows):
            where, name = f"{self._name}, row {number}", ""
            try:
                if isinstance(row, BadProblem):
                    raise row
                self._check_columns(row, first=first)
                first = False
                own = self._held(row, "id")
                name = f"{self._name.rpartition('/')[2]}-{number:06}" if own in (None, "") else str(own)
                if self._wanted(split := self._split(row)):
                    yield self._taken(row, name, split)
            except BadProblem as reason:
                yield Refusal(where, _writable(name), _writable(str(reason))[:LONGEST])

    def _held(self, row: Row, field: str) -> Any:
        value = row.get(getattr(self._columns, field))
        return None if isinstance(value, float) and math.isnan(value) else value  # pandas' word for nothing

    def _check_columns(self, row: Row, first: bool) -> None:
        """The first row shows whether the mapping is right at all."""
        beside = [COLUMN_OF[kind] for kind in self._kinds]
        lacking = [field for field in (*REQUIRED, *beside) if getattr(self._columns, field) not in row]
        if not lacking:
            return
        name = getattr(self._columns, lacking[0])
        if not first:
            raise BadProblem(f"no {name!r}")
        near = difflib.get_close_matches(name, map(str, row), n=1, cutoff=0.5) or ["NAME"]
        raise ConfigError(
            f"{self._name} has no column {name!r}; it has {', '.join(map(str, row))}; say which one holds it: "
            f"--set annotate.problems.columns.{lacking[0]}={near[0]}"
        )

    def _split(self, row: Row) -> Split:
        """The row's own split, or that of all rows."""
        said = None if self._settings.source == "hub" else self._held(row, "split")
        if said is None:
            return SPLITS.get(self._settings.split.casefold(), "train")
        if str(said).casefold() not in SPLITS:
            raise BadProblem(f"split {said!r} is unknown; known: {', '.join(SPLITS)}")
        return SPLITS[str(said).casefold()]

    def _wanted(self, split: Split) -> bool:
        return not self._settings.split or split == SPLITS.get(self._settings.split.casefold(), "train")

    def _taken(self, row: Row, name: str, split: Split) -> Taken:
        if name in self._seen:
            raise BadProblem(f"the id {name!r} was there before; ids must differ")
        problem = self._problem(row, name, split)
        if reason := unproven(problem):
            raise BadProblem(reason)
        given = tuple(one for kind in self._beside for one in _given(self._held(row, COLUMN_OF[kind]), kind, name))
        texts = (name, problem.question, problem.answer, problem.source, problem.group, *problem.choices)
        if strange := [text for text in (*texts, *(one.text for one in given)) if _writable(text) != text]:
            raise BadProblem(f"half a character (\\ud800 to \\udfff) in {_writable(strange[0])[:80]!r}")
        self._seen.add(name)
        return Taken(problem, given)

    def _problem(self, row: Row, name: str, split: Split) -> Problem:
        """One row as a problem."""
        pictures = _listed(self._held(row, "images"))
        images = tuple(picture(each, f"image {place}", self._folder) for place, each in enumerate(pictures))
        if not images:
            raise BadProblem("no image")
        choices = tuple(str(choice) for choice in _listed(self._held(row, "choices")))
        answer = _answer(self._held(row, "answer"), choices, self._held(row, "answer_type"))
        return Problem(
            id=name,
            images=images,
            question=_question(self._held(row, "question"), len(images)),
            answer=answer,
            answer_type=_type(self._held(row, "answer_type"), answer, choices),
            source=str(self._held(row, "source") or self._name),
            group=str(self._held(row, "group") or _digest(images)),
            split=split,
            choices=choices,
        )


COLUMN_OF: dict[GivenKind, str] = {"response": "responses", "annotation": "annotations", "logic_form": "logic_forms"}


def _given(value: Any, kind: GivenKind, problem: str) -> Iterator[Given]:
    """The texts of one column; tags within a text part it."""
    texts = [str(each) for each in _listed(value)]
    parts = [part for text in texts for part in ([said for _, said in TAGGED.findall(text)] or [text])]
    for number, text in enumerate(parts):
        if text.strip():
            yield Given(problem, kind, number, text.strip())


def _writable(text: str) -> str:
    """The text as it can be stored: JSON may hold halves of characters, which no UTF-8 does."""
    return text.encode("utf-8", "backslashreplace").decode()


def _listed(value: Any) -> list[Any]:
    """One value or many as a list."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _digest(images: tuple[bytes, ...]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(image).digest() for image in images)).hexdigest()[:16]


def _question(text: Any, images: int) -> str:
    """The question with a mark for each image."""
    if not isinstance(text, str) or not text.replace(MARK, "").strip():
        raise BadProblem("no question")
    marks = text.count(MARK)
    if marks not in (0, images):
        raise BadProblem(f"{marks} {MARK} marks for {images} images")
    return text if marks else MARK * images + text


def _answer(value: Any, choices: tuple[str, ...], said: Any = None) -> str:
    """The right answer in one spelling."""
    strange = (bool, dict) if said == "list" else (bool, dict, list, tuple)
    if isinstance(value, strange) or (isinstance(value, float) and math.isinf(value)):
        raise BadProblem(f"its answer {str(value)[:80]!r} ({type(value).__name__}) is neither a text nor a number")
    answer = "" if value is None else str(value).strip()
    if not answer:
        raise BadProblem("no answer")
    return normalised(answer, choices)


def _type(said: Any, answer: str, choices: tuple[str, ...]) -> AnswerType:
    if not said:
        return answer_type_of(answer, choices)
    if said not in get_args(AnswerType):
        raise BadProblem(f"answer_type {said!r} is unknown; known: {', '.join(get_args(AnswerType))}")
    return cast(AnswerType, said)
