"""Decoding of one image file to pixels of eight bits, with a note of every conversion."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from harness.datasets._containers import FILLERS, add_filler, name_format, read_depth, require_all_rows

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
ORIENTATION = 0x0112  # in Exif


def decode_file(data: bytes, channels: int, size: int) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Decode a file's bytes to uint8 [channels, size, size], its format ("JPEG") and its conversions.

    Raises:
        ValueError: The file is neither PNG nor JPEG, or the image has another size, several frames, more than eight
            bits per channel, or pixels that the file lacks.
        Exception: Pillow's decoders raise various types on damaged files.
    """
    import numpy as np
    from PIL import Image

    kind = name_format(data)
    if kind is None:
        raise ValueError(f"{_name_other(data)}, expected PNG or JPEG, whatever the file is called")
    if (depth := read_depth(data)) > 8:
        raise ValueError(f"{depth} bits per channel ({kind}), expected 8 at most")
    with Image.open(io.BytesIO(data)) as image:
        if image.size != (size, size):
            raise ValueError(f"{image.width} × {image.height} pixels, expected {size} × {size}")
        if (frames := getattr(image, "n_frames", 1)) != 1:
            raise ValueError(f"{frames} frames, expected one")
        if image.mode not in TAKEN:
            raise ValueError(f"mode {image.mode}, which can't be turned to grey or RGB")
        image.load()  # some of a file's metadata follow its pixels
        _require_whole(image, kind, data)
        done = _describe_changes(image, channels)
        # Via RGBA, Pillow does not warn about a palette's transparency, which is reported here.
        shown = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
        pixels = np.asarray(shown.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(size, size, channels).transpose(2, 0, 1), kind, done


def _name_other(data: bytes) -> str:
    """Name the format of a file that is neither PNG nor JPEG."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return f"a {image.format} file"
    except Exception:  # decoders raise many types
        return "a file whose format Pillow can't tell"


def _require_whole(image: Image.Image, kind: str, data: bytes) -> None:
    """Require that no pixel of a decoded image was made up because the file lacks it.

    Raises:
        ValueError: Some were. Decoders make them up in silence if a file ends as if it were complete.
    """
    from PIL import Image

    if kind == "PNG":
        require_all_rows(data)
        return
    for filler in FILLERS:
        with Image.open(io.BytesIO(add_filler(data, filler))) as other:
            if other.tobytes() != image.tobytes():
                raise ValueError("incomplete: its coded data end before the image does")


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
