"""A cache of decoded images outside the repository: one file per split, written completely or not at all.

Each is named by the contents of the files that it was decoded from, and has a line with a digest of the rest, a line of
notes as JSON, and the pixels as they lie in memory. The digest is checked at every read, so that a file altered on the
disk is decoded again. An alteration that also replaces the digest is not detected here (docs/decisions/0034).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.system.storage import write_atomic

if TYPE_CHECKING:
    import numpy as np

LONGEST_LINE = 2**16
"""Bytes of a line that are read."""


@dataclass(frozen=True)
class Decoded:
    """The decoded images of a split."""

    images: np.ndarray
    """Pixels, uint8 [N, channel, size, size]."""
    formats: tuple[str, ...]
    """File formats as their decoders report them: "JPEG", "PNG"."""
    changes: Mapping[str, int]
    """Conversion in words → number of files that underwent it."""


def read_cached(path: Path, shape: tuple[int, ...]) -> Decoded | None:
    """Read the images cached under ``path``; None if there are none or they are not what was written."""
    import numpy as np

    try:
        with path.open("rb") as file:
            digest, told = file.readline(LONGEST_LINE), file.readline(LONGEST_LINE)
            images = np.empty(shape, dtype=np.uint8)
            if file.readinto(images.reshape(-1).data) != images.nbytes or file.read(1):
                return None
        if digest != _digest(path, images, told):
            return None
        notes = json.loads(told)
        return Decoded(images, tuple(notes["formats"]), notes["changes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_cached(path: Path, decoded: Decoded) -> None:
    """Write decoded images to ``path``.

    Raises:
        StorageFailed: The cache folder is full or may not be written.
    """
    import numpy as np

    images = np.ascontiguousarray(decoded.images)
    told = json.dumps({"formats": decoded.formats, "changes": dict(decoded.changes)}).encode() + b"\n"
    write_atomic(path, _digest(path, images, told), told, images.data)


def _digest(path: Path, images: np.ndarray, told: bytes) -> bytes:
    """Return a file's first line: the SHA-256 over its name, so that no other can stand in for it, notes and pixels."""
    digest = hashlib.sha256(f"{path.name}\n{images.shape}\n".encode() + told)
    digest.update(images.data)
    return digest.hexdigest().encode() + b"\n"
