"""Decoded images, kept between runs outside the repository: one ``.npz`` per split, written whole or not at all."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.storage import write_atomic

if TYPE_CHECKING:
    import numpy as np


def read_cached(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array under ``path``; None if there is none, or if what is there is damaged or of another shape."""
    import numpy as np

    try:
        # The zip container's CRC-32 is checked as the array is read, so a flipped bit is noticed too.
        with np.load(path, allow_pickle=False) as archive:
            images = np.asarray(archive["images"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def write_cached(path: Path, images: np.ndarray) -> None:
    """Keep the array under ``path``.

    Raises:
        StorageFailed: the cache folder is full or may not be written.
    """
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, images=images)
    write_atomic(path, buffer.getvalue())
