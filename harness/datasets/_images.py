"""Image folders, ``<folder>/{train,test}/<class>/*.jpg``, as arrays: listed, read, decoded once, then cached.

All bytes of all files are read every time, which takes half a second for 60,000 small files, and a decoded copy is used
only for the same bytes: names, sizes and times say nothing about a file's contents.

Labels follow the official order of the class names, not the order on the disk. A split comes out ordered by class, so
that code that takes "the first N" of it must first shuffle with a fixed key.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.datasets._cache import Decoded, read_cached, write_cached
from harness.datasets._decode import decode_file
from harness.errors import StorageFailed, UsageError
from harness.system.reading import read_regular
from harness.system.storage import find_cache_folder
from harness.wording import format_count

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png")
"""File name extensions of image files. The decoder determines the actual format."""
CHUNK = 256
"""Number of files that one task reads or decodes: large enough to hide the pool's overhead, small enough to stop soon.
"""
LARGEST_IMAGE = 2**26
"""Bytes of an image file that are read."""
SLOW_START, SLOW_FILE = 0.25, 50e-6
"""Seconds in all, and seconds per file, beyond which reading waits for the disk or for a network, so that threads
should wait together. Otherwise they only wait for each other, since each holds Python's lock most of the time: for
60,000 files that one thread read in .5 s, 32 took 2.4 s (32 cores, an H200's machine)."""
SHOWN = 5
"""Number of names that an error lists before it only counts."""


@dataclass(frozen=True)
class Split:
    """The files of one split in label order, before they are decoded."""

    folder: Path
    files: tuple[str, ...]
    """Paths relative to ``folder``."""
    labels: np.ndarray
    """Labels, int64 [N]."""


def has_tree(folder: Path) -> bool:
    """Tell whether ``folder`` looks like an image folder of the form above."""
    return (folder / "train").is_dir() or (folder / "test").is_dir()


def list_split(folder: Path, classes: Sequence[str], count: int) -> Split:
    """List a split's folder, whose sub-folders are ``classes`` (official order) or their numbers from 0.

    Raises:
        UsageError: A folder or a file is missing, unreadable, or one too many; nothing is decoded.
    """
    import numpy as np

    try:
        folders = sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
        listed = [_list_class(folder, name) for name in _sort_by_label(folder, folders, classes)]
    except OSError as error:
        raise UsageError(
            f"could not be read: {error.strerror or error}",
            where=str(error.filename or folder),
            remedy="put the missing folder there, or make it readable",
        ) from error
    sizes = [len(files) for files in listed]
    if sum(sizes) != count:
        raise UsageError(
            f"holds {format_count(sum(sizes), 'image')}, expected {count:,}",
            where=str(folder),
            remedy="complete the copy; images per class: "
            + ", ".join(f"{name} {size:,}" for name, size in zip(classes, sizes, strict=True)),
        )
    return Split(
        folder=folder,
        files=tuple(name for files in listed for name in files),
        labels=np.repeat(np.arange(len(classes), dtype=np.int64), sizes),
    )


def _sort_by_label(folder: Path, folders: list[str], classes: Sequence[str]) -> list[str]:
    named = {_normalise_name(name): name for name in folders}
    numbered = {str(int(name)): name for name in folders if name.isdecimal()}
    for found, wanted in (
        (named, [_normalise_name(name) for name in classes]),
        (numbered, [str(label) for label in range(len(classes))]),
    ):
        if len(found) == len(folders) and set(found) == set(wanted):
            return [found[name] for name in wanted]
    missing = [name for name in classes if _normalise_name(name) not in named]
    unknown = [name for key, name in named.items() if key not in {_normalise_name(name) for name in classes}]
    raise UsageError(
        "its folders are not the data set's classes: "
        f"missing {_join_some(missing)}; not expected {_join_some(unknown)}",
        where=str(folder),
        remedy=f"expected one folder per class: {', '.join(classes)} (or the labels 0 to {len(classes) - 1})",
    )


def _normalise_name(name: str) -> str:
    """Return a class name without case and punctuation: "T-shirt/top" can't be a folder, "t_shirt_top" can."""
    return re.sub(r"[\W_]", "", name).lower()


def _join_some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) or "none"
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _list_class(folder: Path, name: str) -> list[str]:
    """List the files of a class below the split's folder, in numerical order if their names are numbers."""
    found = [
        entry.name
        for entry in os.scandir(folder / name)
        if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")
    ]
    if not found:
        raise UsageError(
            "an empty class: no .jpg, .jpeg or .png file", where=str(folder / name), remedy="complete the copy"
        )
    stems = {file: file.rpartition(".")[0] for file in found}
    if all(stem.isdecimal() for stem in stems.values()):
        found.sort(key=lambda file: (int(stems[file]), file))
    else:
        found.sort()
    return [f"{name}/{file}" for file in found]


def load_images(split: Split, name: str, channels: int, size: int, notify: Callable[[str], None]) -> Decoded:
    """Return the split's images: from the cache, else decoded and cached as ``name``.

    Raises:
        UsageError: An image can't be read or decoded, or has another size.
    """
    import PIL
    from PIL import features

    contents = read_digests(split)
    # Another Pillow may bring another JPEG decoder, whose pixels differ in the last bit.
    folder = find_cache_folder()
    if folder is None:
        notify(
            f"decoding {format_count(len(split.files), 'image')} of {name} (every time: set HARNESS_CACHE to keep them)"
        )
        return decode(split, contents, channels, size)
    decoders = [PIL.__version__, *(str(features.version(codec)) for codec in ("jpg", "libjpeg_turbo", "zlib"))]
    key = hashlib.sha256(f"4 {channels} {size} {' '.join(decoders)}\n".encode())
    for file, content in zip(split.files, contents, strict=True):
        key.update(file.encode("utf-8", "surrogateescape") + b"\0" + content)
    path = folder / "datasets" / f"{name}-{key.hexdigest()[:32]}.raw"
    cached = read_cached(path, (len(split.files), channels, size, size))
    if cached is not None:
        return cached
    notify(f"decoding {format_count(len(split.files), 'image')} of {name} (once; kept in {path.parent})")
    decoded = decode(split, contents, channels, size)
    try:
        write_cached(path, decoded)
    except StorageFailed as error:
        notify(f"the decoded images could not be kept, the next run decodes them again: {error.where}: {error.message}")
    return decoded


def read_digests(split: Split) -> list[bytes]:
    """Return the SHA-256 of every file's contents; read in threads as soon as files turn out to be slow.

    Raises:
        UsageError: A file can't be read. The error names the first and counts the others.
    """
    contents = [b""] * len(split.files)

    def read(index: int) -> None:
        contents[index] = hashlib.sha256(_read(split, index)).digest()

    _for_each(split, read, alone=True)
    return contents


def decode(split: Split, contents: Sequence[bytes], channels: int, size: int) -> Decoded:
    """Decode all files of a split in threads, to grey for one channel, else RGB.

    ``contents`` are the SHA-256 digests of the files.

    Raises:
        UsageError: A file is bad or its contents have changed. The error names the first and counts the others.
    """
    import numpy as np

    images = np.empty((len(split.files), channels, size, size), dtype=np.uint8)
    told: list[tuple[str, tuple[str, ...]]] = [("", ())] * len(images)

    def decode_one(index: int) -> None:
        data = _read(split, index)
        if hashlib.sha256(data).digest() != contents[index]:
            raise ValueError("its content changed while it was being read")
        images[index], kind, done = decode_file(data, channels, size)
        told[index] = kind, done

    _for_each(split, decode_one)
    changes = Counter(change for _, changes in told for change in changes)
    return Decoded(images, tuple(sorted({kind for kind, _ in told})), dict(sorted(changes.items())))


def _read(split: Split, index: int) -> bytes:
    # A string, not a Path: this happens for every file of a data set at every start.
    return read_regular(f"{split.folder}/{split.files[index]}", LARGEST_IMAGE, follow=True)


def _for_each(split: Split, work: Callable[[int], None], *, alone: bool = False) -> None:
    """Call ``work`` with the index of every file, in threads; if ``alone``, only once it turns out to be slow.

    Raises:
        UsageError: It failed for a file. The error names the first and counts the others.
    """

    from concurrent.futures import ThreadPoolExecutor

    def run_chunk(start: int) -> list[tuple[str, str]]:
        bad = []
        for index in range(start, min(start + CHUNK, len(split.files))):
            try:
                work(index)
            except Exception as error:  # decoders raise many types: OSError, SyntaxError, ValueError, struct.error, …
                bad.append((split.files[index], str(error) or type(error).__name__))
        return bad

    starts, bad = deque(range(0, len(split.files), CHUNK)), list[tuple[str, str]]()
    limit = time.perf_counter() + SLOW_START
    while alone and starts:
        bad += run_chunk(starts.popleft())
        limit += SLOW_FILE * CHUNK
        alone = time.perf_counter() < limit
    if starts:
        with ThreadPoolExecutor(thread_name_prefix="images") as pool:
            bad += [pair for found in pool.map(run_chunk, starts) for pair in found]
    if bad:
        (file, reason), others = bad[0], [name for name, _ in bad[1:]]
        raise UsageError(
            f"not a usable image: {reason}"
            + (f"; nor are {len(others):,} other files of this split: {_join_some(others)}" if others else ""),
            where=str(split.folder / file),
            remedy="restore the file from the data set's source; or save it as a PNG file with one grey or RGB "
            "image of 8 bits per channel",
        )
