"""Image folders, ``<folder>/{train,test}/<class>/*.jpg``, as arrays: listed, checked, decoded once, then cached.

Labels follow the official order of the class names, not the order on the disk. A split comes out ordered by class:
who takes "the first N" of it must shuffle with a fixed key first.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.datasets._cache import read_cached, write_cached
from harness.errors import StorageFailed, UsageError
from harness.storage import cache_folder

if TYPE_CHECKING:
    import numpy as np

KINDS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
CHUNK = 256
"""Images that one task decodes: large enough to hide the pool's overhead, small enough to stop soon."""
SHOWN = 5
"""Names that an error lists before it only counts."""


@dataclass(frozen=True)
class Split:
    """The files of one split in label order, before they are decoded."""

    folder: Path
    files: tuple[str, ...]
    """Relative to ``folder``."""
    labels: np.ndarray
    """int64 [N]"""
    kinds: tuple[str, ...]
    """File formats that occur: "JPEG", "PNG"."""
    listing: bytes
    """Names, sizes and times of change of all files: what the cache is keyed by."""


def has_tree(folder: Path) -> bool:
    """Whether ``folder`` looks like an image folder of the form above."""
    return (folder / "train").is_dir() or (folder / "test").is_dir()


def list_split(folder: Path, classes: Sequence[str], count: int) -> Split:
    """List a split's folder, whose sub-folders are ``classes`` (official order) or their numbers from 0.

    Raises:
        UsageError: a folder or a file that is missing, or not readable, or one too many; nothing is decoded.
    """
    import numpy as np

    try:
        folders = sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
        listed = [_list_class(folder, name) for name in _in_label_order(folder, folders, classes)]
    except OSError as error:
        raise UsageError(
            f"could not be read: {error.strerror or error}",
            where=str(error.filename or folder),
            remedy="put the missing folder there, or make it readable",
        ) from error
    sizes = [len(files) for files in listed]
    if sum(sizes) != count:
        raise UsageError(
            f"holds {sum(sizes):,} images, expected {count:,}",
            where=str(folder),
            remedy="complete the copy; images per class: "
            + ", ".join(f"{name} {size:,}" for name, size in zip(classes, sizes, strict=True)),
        )
    rows = [row for files in listed for row in files]
    return Split(
        folder=folder,
        files=tuple(name for name, _, _ in rows),
        labels=np.repeat(np.arange(len(classes), dtype=np.int64), sizes),
        kinds=tuple(sorted({KINDS[Path(name).suffix.lower()] for name, _, _ in rows})),
        listing="".join(f"{name}\0{size}\0{changed}\n" for name, size, changed in rows).encode(
            "utf-8", "surrogateescape"
        ),
    )


def _in_label_order(folder: Path, folders: list[str], classes: Sequence[str]) -> list[str]:
    named = {_plain(name): name for name in folders}
    numbered = {str(int(name)): name for name in folders if name.isdecimal()}
    for found, wanted in (
        (named, [_plain(name) for name in classes]),
        (numbered, [str(label) for label in range(len(classes))]),
    ):
        if len(found) == len(folders) and set(found) == set(wanted):
            return [found[name] for name in wanted]
    missing = [name for name in classes if _plain(name) not in named]
    unknown = [name for key, name in named.items() if key not in {_plain(name) for name in classes}]
    raise UsageError(
        f"its folders are not the data set's classes: missing {_some(missing)}; not expected {_some(unknown)}",
        where=str(folder),
        remedy=f"expected one folder per class: {', '.join(classes)} (or the labels 0 to {len(classes) - 1})",
    )


def _plain(name: str) -> str:
    """A class name without case and punctuation: "T-shirt/top" cannot be a folder, "t_shirt_top" can."""
    return re.sub(r"[\W_]", "", name).lower()


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) or "none"
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _list_class(folder: Path, name: str) -> list[tuple[str, int, int]]:
    """(file below the split, bytes, time of change in ns) of a class, in numerical order where names are numbers."""
    found = []
    for entry in os.scandir(folder / name):
        if Path(entry.name).suffix.lower() in KINDS and not entry.name.startswith("."):
            status = entry.stat()
            found.append((entry.name, status.st_size, status.st_mtime_ns))
    if not found:
        raise UsageError(
            "an empty class: no .jpg, .jpeg or .png file", where=str(folder / name), remedy="complete the copy"
        )
    if all(Path(file).stem.isdecimal() for file, _, _ in found):
        found.sort(key=lambda row: (int(Path(row[0]).stem), row[0]))
    else:
        found.sort()
    return [(f"{name}/{file}", size, changed) for file, size, changed in found]


def load_images(split: Split, name: str, channels: int, size: int, notify: Callable[[str], None]) -> np.ndarray:
    """The split's images, uint8 [N, channel, size, size]: from the cache, else decoded and cached as ``name``.

    Raises:
        UsageError: an image that cannot be decoded or has another size.
    """
    import PIL

    # Another Pillow may bring another JPEG decoder, whose pixels differ in the last bit.
    head = f"1 {channels} {size} {PIL.__version__}\n".encode()
    folder = cache_folder()
    if folder is None:
        notify(f"decoding {len(split.files):,} images of {name} (every time: set HARNESS_CACHE to keep them)")
        return decode(split, channels, size)
    path = folder / "datasets" / f"{name}-{hashlib.sha256(head + split.listing).hexdigest()[:32]}.npz"
    cached = read_cached(path, (len(split.files), channels, size, size))
    if cached is not None:
        return cached
    notify(f"decoding {len(split.files):,} images of {name} (once; kept in {path.parent})")
    images = decode(split, channels, size)
    try:
        write_cached(path, images)
    except StorageFailed as error:
        notify(f"the decoded images could not be kept, the next run decodes them again: {error.where}: {error.message}")
    return images


def decode(split: Split, channels: int, size: int) -> np.ndarray:
    """Decode all files of a split in threads: uint8 [N, channel, size, size]; grey for one channel, else RGB.

    Raises:
        UsageError: naming the first bad file and counting the others.
    """
    import numpy as np

    images = np.empty((len(split.files), channels, size, size), dtype=np.uint8)

    def decode_chunk(start: int) -> list[tuple[str, str]]:
        bad = []
        for index in range(start, min(start + CHUNK, len(images))):
            try:
                images[index] = _decode_file(split.folder / split.files[index], channels, size)
            except Exception as error:  # decoders raise many types: OSError, SyntaxError, ValueError, struct.error, …
                bad.append((split.files[index], str(error) or type(error).__name__))
        return bad

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
        bad = [pair for found in pool.map(decode_chunk, range(0, len(images), CHUNK)) for pair in found]
    if bad:
        (file, reason), others = bad[0], [name for name, _ in bad[1:]]
        raise UsageError(
            f"not a usable image: {reason}"
            + (f"; nor are {len(others):,} other files of this split: {_some(others)}" if others else ""),
            where=str(split.folder / file),
            remedy="restore the file from the data set's source",
        )
    return images


def _decode_file(path: Path, channels: int, size: int) -> np.ndarray:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        if image.size != (size, size):
            raise ValueError(f"{image.width} × {image.height} pixels, expected {size} × {size}")
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(size, size, channels).transpose(2, 0, 1)
