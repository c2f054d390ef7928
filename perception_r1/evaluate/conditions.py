"""What is done to the pictures of the same items, so that a model's answers pair with and without them.

    full       the item as it is
    none       no picture at all: no image token, and no mark in the question
    blank      each picture as large as it was, and grey
    shuffled   the pictures of another item, of another group, the same each time
    caption    words instead of the pictures

Every condition keeps the item's id, question and grading, so that full and none differ in nothing but the picture.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from perception_r1.benchmarks.item import Item
from perception_r1.errors import BadProblem, ConfigError
from perception_r1.prompt import MARK
from perception_r1.records import Problem
from perception_r1.sections import Condition

WINDOW = 256  # items among which pictures are exchanged, and that one file of predictions holds
GREY = (128, 128, 128)


def windows(items: Iterable[Item], size: int = WINDOW) -> Iterator[list[Item]]:
    """The items in windows of this size; a last one that is short goes with the one before it."""
    waiting = iter(items)
    window = list(islice(waiting, size))
    while window:
        after = list(islice(waiting, size))
        if after and len(after) < size // 2:
            window, after = window + after, []
        yield window
        window = after


def shown(item: Item, condition: Condition, donor: Item | None = None) -> Problem:
    """The item's problem under a condition; one that has no picture is the same under all."""
    problem = item.problem
    if condition == "full" or not problem.images:
        return problem
    if condition == "blank":
        return replace(problem, images=tuple(blank(image) for image in problem.images))
    if condition == "shuffled":
        return replace(problem, images=_of_another(item, donor))
    words = _caption(item) if condition == "caption" else ""
    return replace(problem, images=(), question=words + problem.question.replace(MARK, ""))


def donors(items: Sequence[Item]) -> dict[str, Item]:
    """By its id, for each item with a picture another one of another group, each giving once: a fixed derangement.

    Sorted by group and moved on by the largest group, no item meets its own group, if none is half of all.
    """
    with_pictures = sorted((item for item in items if item.problem.images), key=lambda item: item.problem.group)
    sizes: dict[str, int] = {}
    for item in with_pictures:
        sizes[item.problem.group] = sizes.get(item.problem.group, 0) + 1
    step = max(sizes.values(), default=0)
    if with_pictures and 2 * step > len(with_pictures):
        largest = max(sizes, key=lambda group: sizes[group])
        raise BadProblem(
            f"pictures cannot be shuffled: {step} of {len(with_pictures)} items are of one group ({largest}), so that "
            "some would keep their own; ask more items, or leave 'shuffled' out of evaluate.conditions"
        )
    moved = with_pictures[step:] + with_pictures[:step]
    return {item.problem.id: donor for item, donor in zip(with_pictures, moved, strict=True)}


def captioned(items: Iterable[Item], path: str) -> Iterator[Item]:
    """The items with the captions of a file of {"item", "caption"} lines, where it has one."""
    known = captions_of(path)
    for item in items:
        yield replace(item, caption=known.get(item.problem.id, item.caption))


def captions_of(path: str) -> Mapping[str, str]:
    """The captions of a file, by item; none where there is no file."""
    if not path:
        return {}
    try:
        rows = [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]
        return {str(row["item"]): str(row["caption"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'{path} holds no captions: {error}; a line is {{"item": "…", "caption": "…"}}') from None


def _caption(item: Item) -> str:
    if not item.caption:
        raise ConfigError(
            f"item {item.problem.id} has no caption; name a file of them as evaluate.data.<benchmark>.captions, or "
            "leave 'caption' out of evaluate.conditions"
        )
    return f"The picture in words: {item.caption}\n"


def _of_another(item: Item, donor: Item | None) -> tuple[bytes, ...]:
    """As many pictures as the item has, of the donor."""
    if donor is None:
        raise BadProblem(f"item {item.problem.id} has no other item whose pictures it could show")
    theirs = donor.problem.images
    return tuple(theirs[number % len(theirs)] for number in range(len(item.problem.images)))


@lru_cache(maxsize=64)
def blank(picture: bytes) -> bytes:
    """A grey picture as large as this one."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        size = image.size
    data = io.BytesIO()
    Image.new("RGB", size, GREY).save(data, "PNG")
    return data.getvalue()
