"""PNG and JPEG files as bytes: the bits per channel that they state, and whether they contain the whole image.

Decoders keep the upper eight bits of deeper channels, and fill in what a file lacks, in silence. Other formats are
refused, because each states its depth in its own way, if at all.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG file → number of values per pixel."""
PLAIN = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced PNG file: first column, first row, step of the columns, step of the rows."""

FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of a frame: depth, height, width and components, for one way of coding each."""
SEQUENTIAL = (0xC0, 0xC1)
PROGRESSIVE = 0xC2
"""Frames with Huffman codes. What follows the other codes' data can belong to them."""
SCAN, END, RESTART = 0xDA, 0xD9, 0xD0
RESTARTS = {*range(RESTART, RESTART + 8)}
ALONE = {0x01, 0xD8, *RESTARTS}
"""JPEG's markers without a body: TEM, SOI and RST0 to RST7."""
MARKER = re.compile(rb"\xff+([\x01-\xfe])")
"""A marker. Within coded data, a zero follows every 0xFF that is part of them."""
FILLERS = (b"\xde\xad\xbe\xee" * 16, b"\xb4" * 64)
"""Coded data that belong to no image. Either may by chance decode to what a decoder makes up, both hardly ever do."""


class Segment(NamedTuple):
    """One segment of a JPEG file."""

    marker: int
    body: bytes
    start: int
    end: int
    """End of the coded data that follow a scan's head, from ``start`` on, without their restart markers."""


def name_format(data: bytes) -> str | None:
    """Return "PNG" or "JPEG", from a file's first bytes; None for every other format."""
    if data.startswith(PNG):
        return "PNG"
    return "JPEG" if data.startswith(JPEG) else None


def read_depth(data: bytes) -> int:
    """Return the number of bits per channel (or per index of a palette) of a PNG or JPEG file.

    Raises:
        ValueError: The file doesn't say.
    """
    if data.startswith(PNG):
        if data[12:16] == b"IHDR" and len(data) > 24:
            return data[24]
    else:
        for segment in _iterate_segments(data):
            if segment.marker in FRAMES and segment.body:
                return segment.body[0]
    raise ValueError("a file without a header")


def require_all_rows(data: bytes) -> None:
    """Require of a PNG file, which Pillow decoded, that its compressed data contain all rows.

    Raises:
        ValueError: They end too early, or a second header says something else about them.
    """
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    bits, needed = data[24] * CHANNELS[data[25]], 0  # bits of a pixel; bytes of all rows
    for left, top, across, down in ADAM7 if data[28] else PLAIN:
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            needed += rows * (1 + -(-columns * bits // 8))  # a row begins with the number of its filter
    heads, packed, position = 0, bytearray(), len(PNG)
    while position < len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        heads += kind == b"IHDR"
        if kind == b"IDAT":
            packed += data[position + 8 : position + 8 + length]
        position += length + 12
    if heads != 1:
        raise ValueError(f"{heads} headers, expected one")
    if len(zlib.decompressobj().decompress(bytes(packed), needed)) < needed:
        raise ValueError("incomplete: its compressed data end before the last row")


def add_filler(data: bytes, filler: bytes) -> bytes:
    """Return a JPEG file with ``filler`` behind the coded data of every scan.

    A decoder that has the whole image ignores it. One that hasn't makes up the rest of the image in silence, and now
    makes it up of the filler: the pixels differ from those of the file as it is.

    Raises:
        ValueError: The file lacks scans or restart markers, or isn't coded with Huffman codes: filler shows nothing.
    """
    parts, copied, frame = [], 0, None
    missing: dict[int, set[int]] = {}  # component → its coefficients that are not yet there to the last bit
    for marker, body, start, end in _iterate_segments(data):
        if marker in FRAMES:
            if marker not in (*SEQUENTIAL, PROGRESSIVE):
                raise ValueError("a JPEG file that is neither baseline nor progressive, with Huffman codes")
            frame, missing = marker, {component: set(range(64)) for component in body[6::3]}
        elif marker == SCAN:
            first, last, bits = (0, 63, 0) if frame in SEQUENTIAL else body[-3:]
            for component in body[1:-3:2] if bits % 16 == 0 else ():
                missing[component] -= set(range(first, last + 1))
            restart = RESTART
            for found in MARKER.finditer(data, start, end):
                if found[1][0] != restart:
                    raise ValueError("incomplete: a restart marker is missing")
                parts += [data[copied : found.start()], filler]
                copied, restart = found.start(), RESTART + (restart + 1) % 8
            parts += [data[copied:end], filler, bytes([0xFF, restart]), filler]
            copied = end
    if frame is None or any(missing.values()):
        raise ValueError("incomplete: the scans don't cover the whole image")
    return b"".join(parts) + data[copied:]


def _iterate_segments(data: bytes) -> Iterator[Segment]:
    """Iterate over the segments of a JPEG file up to its end."""
    position = 2
    while (found := MARKER.search(data, position)) and (marker := found[1][0]) != END:
        position = found.end()
        if marker in ALONE:
            continue
        start = end = position + int.from_bytes(data[position : position + 2], "big")
        if marker == SCAN:
            stops = (m.start() for m in MARKER.finditer(data, start) if m[1][0] not in RESTARTS)
            end = next(stops, len(data))
        yield Segment(marker, data[position + 2 : start], start, end)
        position = end
