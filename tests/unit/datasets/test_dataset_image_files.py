"""Image files byte by byte: only formats whose depth is known, and only files that contain the whole image."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import warnings
import zlib
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.datasets._containers import ADAM7, SCAN, _iterate_segments
from harness.datasets._decode import decode_file
from harness.datasets._images import decode, list_split, read_digests
from harness.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")  # Pillow's, about some formats

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[:32, :32], 77), -1).astype(np.uint8)
DEEP = {
    "I;16": Image.fromarray(np.full((32, 32), 300, np.uint16)),
    "I": Image.fromarray(np.full((32, 32), 300, np.int32)),
    "F": Image.fromarray(np.full((32, 32), 300.5, np.float32)),
}
JPEG: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "full colour": {"subsampling": 0},
    "optimised": {"optimize": True},
    "restarts": {"restart_marker_blocks": 1},
    "progressive restarts": {"restart_marker_rows": 1, "progressive": True},
    "best": {"quality": 100},
    "worst": {"quality": 5},
}


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def open_pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def png(depth: int, colour: int, rows: bytes, *, interlaced: bool = False) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = chunk(b"IHDR", (32).to_bytes(4, "big") * 2 + bytes([depth, colour, 0, 0, interlaced]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@cache
def written_deep() -> dict[str, bytes]:
    """Files with more than eight bits in every format of Pillow's that can be written with them."""
    Image.init()
    files = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some formats are deprecated
        for kind in sorted(Image.SAVE):
            for mode, image in DEEP.items():
                with contextlib.suppress(Exception):  # whatever a format that has no such mode raises
                    files[f"{kind} {mode}"] = save(image, kind)
    return files


@cache
def deep_by_bytes() -> dict[str, bytes]:
    colours = RNG.integers(0, 65536, (3, 32, 32)).astype(">u2")
    sgi = struct.pack(">HBBHHHH", 474, 0, 2, 3, 32, 32, 3)
    grey = struct.pack(">HBBHHHH", 474, 0, 2, 2, 32, 32, 1)
    twelve = bytearray(save(Image.fromarray(NOISE), "JPEG"))
    twelve[twelve.index(b"\xff\xc0") + 4] = 12
    return {
        "PPM": b"P6\n32 32\n65535\n" + colours.tobytes(),
        "PPM of 10 bits": b"P6\n32 32\n1023\n" + (colours % 1024).astype(">u2").tobytes(),
        "PGM": b"P5\n32 32\n65535\n" + colours[0].tobytes(),
        "SGI": sgi.ljust(512, b"\0") + colours.tobytes(),
        "SGI, grey": grey.ljust(512, b"\0") + colours[0].tobytes(),
        "PNG, colours": png(16, 2, (b"\0" + b"\1\2" * 96) * 32),
        "PNG, grey": png(16, 0, (b"\0" + b"\1\2" * 32) * 32),
        "PNG, grey with alpha": png(16, 4, (b"\0" + b"\1\2" * 64) * 32),
        "PNG, colours with alpha": png(16, 6, (b"\0" + b"\1\2" * 128) * 32),
        "JPEG of 12 bits": bytes(twelve),
    }


def test_pillow_can_still_write_what_is_refused_here():
    written = written_deep()
    assert {"PNG I;16", "TIFF I;16", "TIFF F", "PPM I;16", "JPEG2000 I;16"} <= set(written)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [*written_deep(), *deep_by_bytes()])
def test_more_than_eight_bits_are_refused_in_every_format(name, channels):
    """Pillow would keep the upper eight bits of most, clip others to white, and say nothing."""
    data = {**written_deep(), **deep_by_bytes()}[name]
    with pytest.raises(ValueError, match=r"bits per channel \((PNG|JPEG)\), expected 8|expected PNG or JPEG"):
        decode_file(data, channels, 32)


@pytest.mark.parametrize("kind", ["PPM", "SGI", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "TGA", "PCX", "AVIF", "QOI"])
def test_formats_of_unknown_depth_are_named(kind):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip("this Pillow can't write it")
    with pytest.raises(ValueError, match=f"a {kind} file, expected PNG or JPEG"):
        decode_file(save(Image.fromarray(NOISE), kind), 3, 32)


def test_what_is_no_image_is_refused():
    for data in (b"", b"%PDF-1.4 nothing", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\xff\xd8\xff\xe0\0"):
        with pytest.raises(ValueError, match=r"a file whose format Pillow can't tell|a file without a header"):
            decode_file(data, 3, 32)


def test_file_and_remedy_are_named(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.fromarray(NOISE).save(tmp_path / "cat/0.png", "PPM")
    split = list_split(tmp_path, ["cat"], 1)
    with pytest.raises(UsageError, match="not a usable image: a PPM file, expected PNG or JPEG") as caught:
        decode(split, read_digests(split), 3, 32)
    assert caught.value.where == str(tmp_path / "cat/0.png") and "save it as a PNG file" in (caught.value.remedy or "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_among_images_is_not_waited_for(tmp_path):
    (tmp_path / "cat").mkdir()
    pipe = tmp_path / "cat/0.png"
    os.mkfifo(pipe)
    threading.Thread(target=_write, args=(pipe,), daemon=True).start()  # or whoever waits would do so for ever
    with pytest.raises(UsageError, match="a pipe, not a file"):
        read_digests(list_split(tmp_path, ["cat"], 1))


def _write(pipe):
    with contextlib.suppress(OSError):
        pipe.write_bytes(b"anything")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("name", JPEG)
def test_whole_jpeg_files_are_decoded(name, mode):
    for pixels in (NOISE, SMOOTH, NOISE * 0, NOISE[:28, :28]):
        data = save(Image.fromarray(pixels).convert(mode), "JPEG", **JPEG[name])
        decoded, kind, _ = decode_file(data, 3, len(pixels))
        assert kind == "JPEG" and (decoded.transpose(1, 2, 0) == open_pixels(data)).all()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", JPEG)
def test_jpeg_files_that_end_early_are_refused(name, mode):
    """Cut anywhere in their coded data and closed again: the decoder makes up the rest."""
    data = save(Image.fromarray(NOISE).convert(mode), "JPEG", **JPEG[name])
    whole = open_pixels(data)
    start = next(segment.start for segment in _iterate_segments(data) if segment.marker == SCAN)
    made_up = 0
    for end in range(start, len(data) - 2, 7):
        cut = data[:end] + b"\xff\xd9"
        with contextlib.suppress(OSError):  # Pillow refuses some itself, as decode_file does
            made_up += bool((open_pixels(cut) != whole).any())
        with pytest.raises((ValueError, OSError), match=r"incomplete|truncated|broken"):
            decode_file(cut, 3, 32)
    assert made_up or "progressive" in name


def test_a_jpeg_file_without_its_last_scans_or_restarts_is_refused():
    data = save(Image.fromarray(NOISE), "JPEG", progressive=True)
    scans = [segment for segment in _iterate_segments(data) if segment.marker == SCAN]
    with pytest.raises((ValueError, OSError), match=r"incomplete|truncated|broken"):
        decode_file(data[: scans[-2].end] + b"\xff\xd9", 3, 32)
    data = save(Image.fromarray(NOISE), "JPEG", restart_marker_blocks=1)
    for restart in (b"\xff\xd1", b"\xff\xd2"):  # closed before it; or only its interval is missing
        first = data.index(restart)
        with pytest.raises(ValueError, match="incomplete"):
            decode_file(data[:first] + b"\xff\xd9", 3, 32)
        following = data.index(bytes([0xFF, restart[1] + 1]), first) if restart[1] < 0xD2 else len(data) - 2
        with pytest.raises(ValueError, match="incomplete"):
            decode_file(data[:first] + data[following:], 3, 32)


PASSES = {"plain": ((0, 0, 1, 1),), "interlaced": ADAM7}


@pytest.mark.parametrize("form", PASSES)
def test_png_files_whose_rows_end_early_are_refused(form):
    """The decoder leaves the rest black if the compressed stream itself is complete."""
    parts = [NOISE[top::down, left::across] for left, top, across, down in PASSES[form]]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    decoded, kind, _ = decode_file(png(8, 2, rows, interlaced=form != "plain"), 3, 32)
    assert kind == "PNG" and (decoded.transpose(1, 2, 0) == NOISE).all()
    for end in (len(rows) // 2, len(rows) - 97, len(rows) - 1):
        with pytest.raises((ValueError, OSError), match=r"its compressed data end before the last row|truncated"):
            decode_file(png(8, 2, rows[:end], interlaced=form != "plain"), 3, 32)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_png_files_with_fewer_bits_are_whole_too(depth):
    rows = (b"\0" + bytes(range(4 * depth))) * 32
    assert decode_file(png(depth, 0, rows), 1, 32)[1] == "PNG"
    with pytest.raises(ValueError, match="incomplete"):
        decode_file(png(depth, 0, rows[: -4 * depth - 1]), 1, 32)


def test_a_second_png_header_is_refused():
    """Pillow decodes by the last one, which may state another depth."""
    deep = png(16, 2, (b"\0" + b"\1\2" * 96) * 32)
    shallow = png(8, 2, b"")
    with pytest.raises(ValueError, match="2 headers, expected one"):
        decode_file(shallow[:33] + deep[8:], 3, 32)
