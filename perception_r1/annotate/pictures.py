"""Pictures as they come with a row: opened, checked, and PNG or JPEG when they leave; everything else says why not.

Whoever sees one must see the same: what a mark only tells to turn is turned, and what is see-through lies on white.

A picture is bytes, {"bytes": …}, a data URI, or (in a folder of pictures) a path that stays inside the folder.
"""

import base64
import binascii
import io
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from perception_r1.errors import BadProblem
from perception_r1.opaque import as_png, is_plain

MOST_PIXELS = 50_000_000  # a picture of a few kilobytes can unpack to gigabytes
MOST_BYTES = 64 << 20
MODES = {"1", "L", "LA", "P", "RGB", "RGBA"}  # others lose what they show when they are turned into RGB
AS_THEY_ARE = {"PNG", "JPEG"}
EXTENSIONS = {
    ".png": {"PNG"}, ".jpg": {"JPEG", "MPO"}, ".jpeg": {"JPEG", "MPO"}, ".gif": {"GIF"}, ".bmp": {"BMP", "DIB"},
    ".webp": {"WEBP"}, ".tif": {"TIFF"}, ".tiff": {"TIFF"},
}  # fmt: skip


def picture(value: Any, where: str, folder: Path | None = None) -> bytes:
    """The bytes of a picture that opens: PNG or JPEG; raises BadProblem."""
    data, name = _found(value, where, folder)
    if not data:
        raise BadProblem(f"{where}: no bytes; embed the picture")
    return _opened(data, name, where)


def _found(value: Any, where: str, folder: Path | None) -> tuple[bytes, str]:
    """The bytes and the name under which they came."""
    held, name = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, None)
    if isinstance(held, bytes):
        return held, str(name or "")
    said = held or name
    if not isinstance(said, str) or not said:
        return b"", ""
    if said.startswith("data:"):
        return _of_uri(said, where), ""
    if folder is None:
        raise BadProblem(f"{where}: no bytes; a path alone is not followed, embed the picture")
    return _read(folder, said, where), said


def file_of(value: Any, folder: Path) -> Path | None:
    """The file that holds the picture, where it is one inside the folder."""
    name = (None if value.get("bytes") else value.get("path")) if isinstance(value, Mapping) else value
    if not isinstance(name, str) or not name or name.startswith("data:"):
        return None
    try:
        return _inside(folder, name, "")
    except BadProblem:
        return None


def _of_uri(uri: str, where: str) -> bytes:
    try:
        return base64.b64decode(uri.partition(";base64,")[2], validate=True)
    except binascii.Error:
        raise BadProblem(f"{where}: no base64 in its data URI") from None


def _read(folder: Path, name: str, where: str) -> bytes:
    path = _inside(folder, name, where)
    if path.stat().st_size > MOST_BYTES:
        raise BadProblem(f"{where}: {name!r} has {path.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    return path.read_bytes()


def _inside(folder: Path, name: str, where: str) -> Path:
    """The file of that name; links and dots may not lead out of the folder."""
    try:
        home, path = folder.resolve(), (folder / name).resolve()
        inside, there = path.is_relative_to(home), path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a zero in it, or a link to itself
        raise BadProblem(f"{where}: {name[:80]!r} is no name of a file: {error}"[:300]) from None
    if not inside:
        raise BadProblem(f"{where}: {name!r} leads out of {folder}; put the picture inside")
    if not there:
        raise BadProblem(f"{where}: there is no file {name!r} in {folder}")
    return path


def _opened(data: bytes, name: str, where: str) -> bytes:
    from PIL import Image, UnidentifiedImageError

    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(data)) as image,
        ):
            _check(image, name, where)
            image.load()
            return data if image.format in AS_THEY_ARE and is_plain(image) else as_png(image)
    except UnidentifiedImageError:  # its message names an address in memory, another one in each run
        raise BadProblem(f"{where}: does not open: {name or 'it'} is no picture; leave it out") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadProblem(f"{where}: does not open: {error}") from None


def _check(image: Any, name: str, where: str) -> None:
    """Refuses what can be told before the pixels are unpacked."""
    pixels = image.width * image.height
    if not 0 < pixels <= MOST_PIXELS:
        told = f"are more than {MOST_PIXELS:,}" if pixels else "are none"
        raise BadProblem(f"{where}: {image.width} x {image.height} pixels {told}")
    if image.mode not in MODES:
        raise BadProblem(f"{where}: a picture of mode {image.mode}; convert it to RGB")
    if image.format == "PNG" and any(";16" in str(tile.args) for tile in image.tile):
        raise BadProblem(f"{where}: a picture of 16 bits a colour; convert it to 8")
    if getattr(image, "n_frames", 1) > 1:
        raise BadProblem(f"{where}: an animation of {image.n_frames} pictures; choose one")
    extension = PurePath(name).suffix.lower()
    if image.format not in EXTENSIONS.get(extension, {image.format}):
        raise BadProblem(f"{where}: {PurePath(name).name!r} is no {extension} but {image.format}; rename it")
