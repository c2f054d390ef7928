"""Pictures of benchmarks: checked to open, upright and on white as in training, put where they belong."""

import base64
import binascii
import io
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from perception_r1.errors import BadProblem
from perception_r1.opaque import as_png, is_plain
from perception_r1.prompt import MARK

AS_THEY_ARE = {("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "L")}
MOST_PIXELS = 100_000_000


def picture(value: Any, where: str) -> bytes:
    """The bytes of a picture that opens; raises BadProblem that says where it is missing or broken."""
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(data, str):
        data = _decoded(data, where)
    if not isinstance(data, bytes) or not data:
        raise BadProblem(f"{where}: the image is missing; a path alone is not followed, embed the picture")
    return _checked(data, where)


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except binascii.Error:
        raise BadProblem(f"{where}: the image is neither bytes nor base64: {text[:40]!r}") from None


@lru_cache(maxsize=64)  # five versions of a problem show one picture
def _checked(data: bytes, where: str) -> bytes:
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadProblem(f"{where}: {image.width} x {image.height} pixels are more than {MOST_PIXELS:,}")
            image.load()
            plain = (image.format, image.mode) in AS_THEY_ARE and is_plain(image)
            return data if plain else as_png(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadProblem(f"{where}: the image does not open: {error}") from None


def placed(
    text: str, pictures: Mapping[int, bytes], token: re.Pattern[str], where: str
) -> tuple[str, tuple[bytes, ...]]:
    """The text with a mark at each picture's first mention, and the pictures in that order; what is unmentioned leads.

    `token` finds the mentions; its group holds the picture's number. A later mention says only the number.
    """
    shown: list[int] = []

    def mark(found: re.Match[str]) -> str:
        number = int(found[1])
        if number not in pictures:
            raise BadProblem(
                f"{where}: {found[0]} is mentioned and there is no image {number}; the row has {_of(pictures)}"
            )
        if number in shown:
            return f"(image {number})"
        shown.append(number)
        return MARK

    marked = token.sub(mark, text)
    first = [number for number in sorted(pictures) if number not in shown]
    return MARK * len(first) + marked, tuple(pictures[number] for number in [*first, *shown])


def _of(pictures: Mapping[int, bytes]) -> str:
    return ", ".join(f"image {number}" for number in sorted(pictures)) or "no image"
