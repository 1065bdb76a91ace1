"""Handwritten digits, 8 × 8, bundled with scikit-learn: 1,797 images, the test part of the UCI set (Alpaydin 1998)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.datasets import Dataset, Images
from harness.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

WIDTH = 64
"""Number of pixels of an image."""
STRANGE = "not the images that scikit-learn is known to bundle"


class Digits(Dataset):
    """Data set of 1,437 training and 360 test images, grey, split by a fixed key. Pixels range from 0 to 16.

    Source:
        Alpaydin and Kaynak 1998, UCI Machine Learning Repository; as bundled with scikit-learn.

    Use:
        For tests, tours and pilots: it needs no download and trains in seconds.

    Traps:
        360 test images give steps of .28 percentage points. Almost everything separates the classes, a head on random
        features included: nothing general follows from it.
    """

    name: Literal["digits"]
    channels: ClassVar[int] = 1
    size: ClassVar[int] = 8
    classes: ClassVar[int] = 10
    train_count: ClassVar[int] = 1437
    test_count: ClassVar[int] = 360
    train_class_counts: ClassVar[tuple[int, ...] | None] = (143, 141, 140, 153, 144, 143, 137, 152, 136, 148)
    test_class_counts: ClassVar[tuple[int, ...] | None] = (35, 41, 37, 30, 37, 39, 44, 27, 38, 32)
    scale: ClassVar[float] = 16.0
    mean: ClassVar[tuple[float, ...]] = (0.3053,)
    std: ClassVar[tuple[float, ...]] = (0.3760,)
    official_fingerprint: ClassVar[str | None] = "01a81b741f5d5a9bbc220b5d7b3a069455366178cf5f7e7307f527d580267e65"
    bundled: ClassVar[bool] = True

    def load(self, root: Path, notify: Callable[[str], None]) -> Images:
        """Read the images that scikit-learn bundles; ``root`` is ignored."""
        import numpy as np

        from harness.batched.keyed import permutation

        rows = _read_rows(_find_bundled(), self.train_count + self.test_count)
        images = rows[:, :-1].astype(np.uint8).reshape(-1, 1, self.size, self.size)
        labels = rows[:, -1].astype(np.int64)
        order = permutation(len(images), 0, "digits/split")
        train, test = order[: self.train_count], order[self.train_count :]
        loaded = Images(
            train_images=images[train],
            train_labels=labels[train],
            test_images=images[test],
            test_labels=labels[test],
            classes=tuple(str(digit) for digit in range(10)),
            origin="scikit-learn's bundled digits, split 1,437/360 by a fixed key",
            canonical=True,
        )
        if loaded.fingerprint == self.official_fingerprint:
            return loaded
        return replace(loaded, origin=f"{loaded.origin}; {STRANGE}", canonical=False)

    def doubt(self, root: Path) -> str | None:
        """Say that the bundled images are not the known ones, if they are not."""
        return None if self.load(root, lambda _: None).canonical else STRANGE

    def locate(self, root: Path) -> str:
        """Say that the images are bundled, wherever ``root`` is."""
        return "bundled with scikit-learn"


def _find_bundled() -> Path:
    """Return the path of scikit-learn's file of digits.

    Importing scikit-learn for it would take a second, because it imports SciPy.

    Raises:
        UsageError: scikit-learn is not installed, or comes without its data.
    """
    found = find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            return path
    raise UsageError("scikit-learn's digits are not installed", where="digits", remedy="pip install scikit-learn")


def _read_rows(path: Path, count: int) -> np.ndarray:
    """Read scikit-learn's file of digits as float64 [N, 65]: 64 pixels from 0 to 16, and the label from 0 to 9.

    Raises:
        UsageError: The file is damaged, or one of its values is another, which a cast would turn into one of these.
    """
    import numpy as np

    remedy = "install scikit-learn again: pip install --force-reinstall scikit-learn"
    try:
        rows = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UsageError(f"could not be read: {error}", where=str(path), remedy=remedy) from error
    if rows.shape != (count, WIDTH + 1):
        raise UsageError(
            f"holds {rows.shape[0]:,} rows of {rows.shape[1]} values, expected {count:,} of {WIDTH + 1}",
            where=str(path),
            remedy=remedy,
        )
    highest = np.array([16] * WIDTH + [9])
    wrong = np.argwhere(~((rows >= 0) & (rows <= highest) & (rows == np.floor(rows))))  # NaN is none of these
    if len(wrong):
        row, column = wrong[0]
        raise UsageError(
            f"row {row + 1}, value {column + 1} is {float(rows[row, column])!r}, "
            f"expected a whole number from 0 to {highest[column]}",
            where=str(path),
            remedy=remedy,
        )
    return rows


plugin = Digits
