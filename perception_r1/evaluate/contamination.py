"""Does a benchmark ask what was trained on? The same picture or one that looks the same, together with the same words.

A difference hash of 16 x 16 grey steps compares pictures, so that scaling and compression do not hide one. Words alone
("Find x.") are no overlap where there is a picture, and a picture alone is none unless it is the very same. Words are
the same, too, if one question holds the other: MathVista asks Geometry3K's between a hint and the choices.
"""

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from perception_r1.records import Problem

SIDE = 16
BITS = SIDE * SIDE
NEAR = 6  # bits of 256 that may differ
Kind = Literal["same picture", "near picture, same words", "same words"]


@dataclass(frozen=True, slots=True)
class Overlap:
    """An item of a benchmark and a problem of training that are too alike."""

    benchmark: str
    item: str
    problem: str
    kind: Kind
    bits: int  # in which the pictures' hashes differ


class Known:
    """What was trained on, ready to be looked up."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._pictures: dict[str, str] = {}
        self._words: dict[str, list[tuple[str, tuple[int, ...]]]] = defaultdict(list)
        for problem in problems:
            for image in problem.images:
                self._pictures.setdefault(_digest(image), problem.id)
            looks = tuple(perceptual_hash(image) for image in problem.images)
            self._words[normalised(problem.question)].append((problem.id, looks))

    def like(self, problem: Problem) -> tuple[str, Kind, int] | None:
        """The problem of training that this one is too like, and how; None if there is none."""
        for image in problem.images:
            if same := self._pictures.get(_digest(image)):
                return same, "same picture", 0
        words = normalised(problem.question)
        if not problem.images:
            return next(((name, "same words", 0) for name, _ in self._words.get(words, ())), None)
        looks = [perceptual_hash(image) for image in problem.images]
        alike = (one for theirs, some in self._words.items() if _same_words(words, theirs) for one in some)
        near = [(distance(look, other), name) for name, others in alike for other in others for look in looks]
        bits, name = min(near, default=(BITS, ""))
        return (name, "near picture, same words", bits) if bits <= NEAR else None


def _same_words(one: str, other: str) -> bool:
    """Whether two questions are the same, or one is part of the other, between a hint and choices, say."""
    if one == other or not (one and other):
        return one == other
    return f" {one} " in f" {other} " or f" {other} " in f" {one} "


def overlaps(benchmark: str, items: Iterable[Problem], known: Known) -> Iterator[Overlap]:
    """The items that are too like what was trained on."""
    for item in items:
        if found := known.like(item):
            problem, kind, bits = found
            yield Overlap(benchmark, item.id, problem, kind, bits)


def normalised(question: str) -> str:
    """A question's letters and digits, in lower case: what layout and punctuation do not change."""
    return " ".join(re.findall(r"[^\W_]+", re.sub(r"<image[^>]*>", " ", question).casefold()))


@lru_cache(maxsize=4096)
def perceptual_hash(picture: bytes) -> int:
    """The signs of the grey steps from left to right, after scaling; 256 bits."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        grey = image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BILINEAR)
    levels = grey.tobytes()
    rows = (levels[row * (SIDE + 1) : (row + 1) * (SIDE + 1)] for row in range(SIDE))
    signs = "".join("1" if left > right else "0" for row in rows for left, right in pairwise(row))
    return int(signs, 2)


def distance(one: int, other: int) -> int:
    """In how many bits two hashes differ."""
    return (one ^ other).bit_count()


def without(rows: Iterable[Mapping[str, object]], found: Iterable[Overlap]) -> list[Mapping[str, object]]:
    """The predictions of items that were not trained on."""
    known = {overlap.item for overlap in found}
    return [row for row in rows if row["item"] not in known]


def _digest(image: bytes) -> str:
    """Of what a picture shows, not of how it is stored."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        shown = opened.convert("RGB")
    return hashlib.sha256(f"{shown.size}".encode() + shown.tobytes()).hexdigest()
