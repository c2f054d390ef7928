"""A picture as a model is to see it, in training and in evaluation: upright, and on white where it is see-through."""

import io
from typing import Any

ORIENTATION = 0x0112  # of EXIF


def is_plain(image: Any) -> bool:
    """Whether it looks the same to who knows nothing of turning and of transparency."""
    if image.getexif().get(ORIENTATION, 1) != 1:
        return False
    return not image.has_transparency_data or image.convert("RGBA").getextrema()[3][0] == 255


def as_png(image: Any) -> bytes:
    """The picture as PNG: upright, and on white where it is see-through."""
    from PIL import Image, ImageOps

    data = io.BytesIO()
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        seen = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    upright.convert("RGB").save(data, "PNG")
    return data.getvalue()
