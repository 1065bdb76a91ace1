"""TensorBoard's event files: the scalars that a SummaryWriter notes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Literal

from harness.adapters import Adapter, BadRecord, Point

CUT = "its event file is cut off"
FLOAT, DOUBLE = 1, 2
"""Types of a tensor's numbers."""


class TensorBoard(Adapter):
    """Scalars of one TensorBoard event file, as PyTorch, TensorFlow, Keras and Lightning write them.

    The file is named with ``*``, because its name has the time in it: ``file: logs/events.out.tfevents.*``. A point is
    at the step that the program gave; ``steps_per_epoch`` says how many of them are an epoch.

    Equation:
        record = length (8 bytes), its checksum (4), an Event message, its checksum (4)

    Source:
        TensorFlow's record format and the messages Event, Summary and TensorProto (tensorflow/core).

    Use:
        For programs that log to TensorBoard already and write no results of their own.

    Traps:
        Numbers are kept in single precision. A file of more than 8 MiB is refused: keep pictures out of it. A run that
        was begun again has a second event file, and none is chosen for you. Checksums are not looked at: the trail's
        digest of the file tells whether it was changed since.
    """

    name: Literal["tensorboard"]
    tool: ClassVar[str] = "TensorBoard"
    counts_steps: ClassVar[bool] = True

    def read(self, raw: bytes) -> Iterator[Point]:
        """Yield the scalars of all events."""
        start = 0
        while start < len(raw):
            if start + 12 > len(raw):
                raise BadRecord(CUT)
            (length,) = struct.unpack_from("<Q", raw, start)
            end = start + 12 + length
            if end + 4 > len(raw):
                raise BadRecord(CUT)
            yield from _read_event(raw[start + 12 : end])
            start = end + 4


def _read_event(message: bytes) -> Iterator[Point]:
    step, summaries = 0, []
    for field, value in _read_fields(message):
        if field == 2 and isinstance(value, int):
            step = value
        elif field == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for field, value in _read_fields(summary):
            if field == 1 and isinstance(value, bytes) and (found := _read_value(value)) is not None:
                yield Point(found[0], step, found[1])


def _read_value(message: bytes) -> tuple[str, float] | None:
    """Return tag and number of a Summary.Value; None if it is no scalar: a picture, a text, a histogram."""
    tag, number = "", None
    for field, value in _read_fields(message):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode()
        elif field == 2 and isinstance(value, bytes) and len(value) == 4:
            (number,) = struct.unpack("<f", value)
        elif field == 8 and isinstance(value, bytes):
            number = _read_tensor(value)
    return None if number is None else (tag, number)


def _read_tensor(message: bytes) -> float | None:
    """Return the number of a TensorProto without dimensions; None of any other."""
    kind, packed, found = 0, b"", b""
    for field, value in _read_fields(message):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 2 and value:
            return None  # it has dimensions
        elif field == 4 and isinstance(value, bytes):
            packed = value
        elif field in (5, 6) and isinstance(value, bytes):
            found = value
    form, data = {FLOAT: "<f", DOUBLE: "<d"}.get(kind), packed or found
    if form is None or len(data) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, data)[0])


def _read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of every field of a protocol-buffer message: an integer, or bytes."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _read_varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _read_varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise BadRecord("an event of its file is no message")
        if at + size > len(message):
            raise BadRecord(CUT)
        yield key >> 3, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise BadRecord(CUT)
        number |= (message[at] & 127) << shift
        at += 1
        if not message[at - 1] & 128:
            return number, at
    raise BadRecord("a number of its event file has no end")


plugin = TensorBoard
