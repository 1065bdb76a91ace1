"""Decoding of one image file to pixels of eight bits, with a note of every conversion."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

GREY = ("1", "L", "LA")
ALPHA = ("LA", "PA", "RGBA")
CONVERTED = {
    "1": "one bit per pixel",
    "P": "a palette",
    "PA": "a palette",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "L*a*b*",
    "HSV": "HSV",
}
"""Pillow's mode → description of the source, for modes whose values are not those that a model sees."""
TAKEN = {*GREY, *ALPHA, *CONVERTED, "RGB"}
DEEP = re.compile(r";(16|32)[A-Z]")
"""Pillow's raw modes with more than eight bits per channel. Pillow silently keeps only the upper eight bits of colours.
"""
ORIENTATION = 0x0112  # in Exif


def decode_file(data: bytes, channels: int, size: int) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Decode a file's bytes to uint8 [channels, size, size], its format ("JPEG") and its conversions.

    Raises:
        ValueError: The image has another size, several frames, or more than eight bits per channel.
        Exception: Pillow's decoders raise various types on damaged files.
    """
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        kind = str(image.format)
        if image.size != (size, size):
            raise ValueError(f"{image.width} × {image.height} pixels, expected {size} × {size}")
        if (frames := getattr(image, "n_frames", 1)) != 1:
            raise ValueError(f"{frames} frames, expected one")
        if image.mode not in TAKEN or DEEP.search(str(image.tile)):
            deep = "16 bits per channel, " if image.mode in TAKEN else ""
            raise ValueError(f"{deep}mode {image.mode}, which does not fit into 8 bits per channel")
        image.load()  # some of a file's metadata follow its pixels
        done = _describe_changes(image, channels)
        # Via RGBA, Pillow does not warn about a palette's transparency, which is reported here.
        shown = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
        pixels = np.asarray(shown.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(size, size, channels).transpose(2, 0, 1), kind, done


def _describe_changes(image: Image.Image, channels: int) -> tuple[str, ...]:
    """Return the conversions of a loaded image, in words that follow a number of files."""
    mode, done = image.mode, []
    if mode in ALPHA or "transparency" in image.info:
        done.append("with transparency that was dropped")
    if mode in CONVERTED:
        done.append(f"converted from {CONVERTED[mode]}")
    if channels == 1 and mode not in GREY:
        done.append("in colour, turned to grey")
    if channels == 3 and mode in GREY:
        done.append("in grey, repeated for three channels")
    if "exif" in image.info and image.getexif().get(ORIENTATION, 1) != 1:
        done.append("with an orientation in Exif that was not applied")
    return tuple(done)
