"""A cache of decoded images outside the repository: one ``.npz`` per split, written completely or not at all.

Each is named by the contents of the files that it was decoded from. It holds a digest of its own contents, which is
checked at every read, so that a file altered on the disk is decoded again. An alteration that also replaces the digest
is not detected here (docs/decisions/0034).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.system.storage import write_atomic

if TYPE_CHECKING:
    import numpy as np


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
        with np.load(path, allow_pickle=False) as archive:
            images, told, digest = (np.asarray(archive[name]) for name in ("images", "told", "sha256"))
        if images.shape != shape or images.dtype != np.uint8:
            return None
        if digest.tobytes() != _digest(path, images, told.tobytes()):
            return None
        notes = json.loads(told.tobytes())
        return Decoded(images, tuple(notes["formats"]), notes["changes"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def write_cached(path: Path, decoded: Decoded) -> None:
    """Write decoded images to ``path``.

    Raises:
        StorageFailed: The cache folder is full or may not be written.
    """
    import numpy as np

    told = json.dumps({"formats": decoded.formats, "changes": dict(decoded.changes)}).encode()
    digest = _digest(path, decoded.images, told)
    buffer = io.BytesIO()
    np.savez(buffer, images=decoded.images, told=np.frombuffer(told, np.uint8), sha256=np.frombuffer(digest, np.uint8))
    write_atomic(path, buffer.getvalue())


def _digest(path: Path, images: np.ndarray, told: bytes) -> bytes:
    """Return the SHA-256 over shape, pixels and notes, and over the name, so that no file can stand in for another."""
    digest = hashlib.sha256(f"{path.name}\n{images.dtype.str}{images.shape}\n".encode())
    digest.update(images.tobytes() if not images.flags.c_contiguous else images.data)
    digest.update(told)
    return digest.digest()
