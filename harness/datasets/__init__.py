"""Data sets: real images as uint8 arrays, with their fingerprint and their origin."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.errors import UsageError
from harness.plugins.registry import Plugin
from harness.plugins.splits import SplitName

if TYPE_CHECKING:
    import numpy as np

Augmentation = Literal["random_crop", "horizontal_flip"]
CROP_PADDING = 4
"""Width in pixels of the zero padding on every side of an image into which random_crop may move."""


@dataclass(frozen=True)
class Selected:
    """The part of a whole data set that ``Images`` hold, and the images that were set apart for validation."""

    train_index: np.ndarray
    """Place of each training image in the training split of the whole data set, ascending, int64 [N]."""
    train_total: int
    """Number of images of that split."""
    validation_images: np.ndarray
    """Images of the validation split, uint8 [N, channel, height, width]; of length 0 if there is none."""
    validation_labels: np.ndarray
    """Labels of the validation split, int64 [N]."""

    @cached_property
    def validation_fingerprint(self) -> str | None:
        """SHA-256 over shape, type and bytes of the validation split's arrays; None if there is none."""
        if not len(self.validation_labels):
            return None
        return digest_arrays(self.validation_images, self.validation_labels)


@dataclass(frozen=True)
class Images:
    """A data set in memory: uint8 images [N, channel, height, width] and int64 labels [N], for both splits."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    origin: str
    """Origin of the arrays, in words for the verdict; it contains no path of the machine."""
    canonical: bool
    """True if these are the data set's official files, bit for bit."""
    selected: Selected | None = None
    """The selection from a data set, if these are a part of it; None for a whole one."""

    def __post_init__(self) -> None:
        """Require arrays of the types and shapes above, and labels that are the number of a class.

        Raises:
            UsageError: They are others. A conversion here would turn them into other numbers in silence.
        """
        for split, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            if images.dtype != "uint8" or images.ndim != 4:
                wrong = f"images {images.dtype}{images.shape}, expected uint8 [N, channel, height, width]"
            elif labels.dtype != "int64" or labels.shape != images.shape[:1]:
                wrong = f"labels {labels.dtype}{labels.shape}, expected int64{images.shape[:1]}"
            elif bad := labels[(labels < 0) | (labels >= len(self.classes))].tolist():
                wrong = f"the label {bad[0]}, expected 0 to {len(self.classes) - 1}"
            else:
                continue
            raise UsageError(
                f"the {split} split has {wrong}",
                where=self.origin,
                remedy="correct the files, or the plug-in that reads them",
            )

    def get(self, split: SplitName) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and labels of a split; there is a validation split only where one was ``selected``."""
        if split == "validation":
            assert self.selected is not None
            return self.selected.validation_images, self.selected.validation_labels
        return (self.train_images, self.train_labels) if split == "train" else (self.test_images, self.test_labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shape, type and bytes of the four arrays."""
        return digest_arrays(self.train_images, self.train_labels, self.test_images, self.test_labels)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Facts that a reader of accuracies must know, counted in the arrays: copies across splits, uneven classes."""
        import numpy as np

        told = []
        # By hashes first, since the bytes of all images may be more than memory holds a second time.
        hashes = {hash(image.tobytes()) for image in self.test_images}
        alike = {data for data in map(np.ndarray.tobytes, self.train_images) if hash(data) in hashes}
        if copies := sum(image.tobytes() in alike for image in self.test_images):
            are = "is a copy of a training image" if copies == 1 else "are copies of training images"
            told.append(f"{copies:,} of {len(self.test_images):,} test images {are}, pixel by pixel")
        for split, labels in (("training", self.train_labels), ("test", self.test_labels)):
            counts = np.bincount(labels, minlength=len(self.classes))
            if counts.min() != counts.max():
                least, most = (f"{counts[i]:,} ({self.classes[i]})" for i in (counts.argmin(), counts.argmax()))
                told.append(f"{split} images per class: from {least} to {most}")
        return tuple(told)


def recognise(dataset: Dataset, images: Images) -> Images:
    """Return what a data set loaded, called official only if that is known here, whatever its plug-in says.

    Built-in plug-ins compare the fingerprint, or checksums of the files where it is not known. Of a plug-in from
    another package nothing is known.
    """
    if not images.canonical:
        return images
    if not type(dataset).__module__.startswith("harness."):
        return replace(images, canonical=False, origin=f"{images.origin}; official by the word of its plug-in alone")
    if dataset.official_fingerprint in (None, images.fingerprint):
        return images
    return replace(images, canonical=False, origin=f"{images.origin}; not the official files by their fingerprint")


def digest_arrays(*arrays: np.ndarray) -> str:
    """Return the SHA-256 over shape, type and bytes of some arrays."""
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class Dataset(Plugin):
    """Interface of a data-set plug-in."""

    channels: ClassVar[int]
    """Number of colour channels of an image."""
    size: ClassVar[int]
    """Height and width of an image, in pixels."""
    classes: ClassVar[int]
    """Number of classes."""
    train_count: ClassVar[int]
    """Number of training images."""
    test_count: ClassVar[int]
    """Number of test images."""
    train_class_counts: ClassVar[tuple[int, ...] | None] = None
    """Number of training images of each class, in the order of their numbers; None if it is the same for all, or not
    known before the data are loaded."""
    test_class_counts: ClassVar[tuple[int, ...] | None] = None
    """Number of test images of each class, likewise."""
    scale: ClassVar[float] = 255.0
    """Value of a white pixel. Pixels are divided by it, then normalised."""
    mean: ClassVar[tuple[float, ...]]
    """Mean of each channel, after division by ``scale``; it is subtracted."""
    std: ClassVar[tuple[float, ...]]
    """Standard deviation of each channel, after division by ``scale``; pixels are divided by it."""

    official_fingerprint: ClassVar[str | None] = None
    """Fingerprint of the official files, as ``load`` reads them; None where it is not known here."""
    bundled: ClassVar[bool] = False
    """True if the images come with a package, so that no data folder is read."""

    augment: tuple[Augmentation, ...] = ()
    """Augmentations of the training images: crops from zero padding of 4 pixels, and horizontal flips. By default,
    none."""

    @property
    def features(self) -> int:
        """Number of values per image."""
        return self.channels * self.size * self.size

    @abstractmethod
    def load(self, root: Path, notify: Callable[[str], None]) -> Images:
        """Read the data set below the data folder ``root``, calling ``notify`` before anything slow.

        Raises:
            DataMissing: The data are not there and can't be obtained; the error says what to put where.
        """

    def present(self, root: Path) -> bool:
        """Tell whether ``load`` finds the data without asking the network."""
        return True

    def doubt(self, root: Path) -> str | None:
        """Say why ``load`` would call the data something else than the official files, or None; without decoding them.

        Raises:
            UsageError: They are there and can't be read.
        """
        return None

    @abstractmethod
    def locate(self, root: Path) -> str:
        """Say in words where ``load`` would take the data from, without loading them; for ``harness plan``."""
