"""SVHN, cropped digits: 99,289 house numbers from street views, 32 × 32 (Netzer, Wang, Coates and others 2011)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from harness.datasets._image_dataset import Arrays, ImageDataset, SplitName
from harness.datasets._torchvision import import_torchvision


class Svhn(ImageDataset):
    """Data set of 73,257 training and 26,032 test images, RGB, without the "extra" split. The digit 0 has label 0.

    Source:
        Netzer et al. 2011, Reading digits in natural images with unsupervised feature learning.

    Use:
        A second set of colour images, of the size of CIFAR-10.

    Traps:
        The usual figures also train on the split "extra", which is left out. Classes are not balanced: always choosing
        1 gives 20%. Flips change digits.
    """

    name: Literal["svhn"]
    title: ClassVar[str] = "SVHN"
    channels: ClassVar[int] = 3
    size: ClassVar[int] = 32
    classes: ClassVar[int] = 10
    train_count: ClassVar[int] = 73_257
    test_count: ClassVar[int] = 26_032
    train_class_counts: ClassVar[tuple[int, ...] | None] = (
        4948,
        13_861,
        10_585,
        8497,
        7458,
        6882,
        5727,
        5595,
        5045,
        4659,
    )
    test_class_counts: ClassVar[tuple[int, ...] | None] = (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595)
    # Over all pixels of the training images, as customary.
    mean: ClassVar[tuple[float, ...]] = (0.4377, 0.4438, 0.4728)
    std: ClassVar[tuple[float, ...]] = (0.1980, 0.2010, 0.1970)
    labels: ClassVar[tuple[str, ...]] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    files: ClassVar[tuple[str, ...]] = ("train_32x32.mat", "test_32x32.mat")
    checksums: ClassVar[Mapping[str, str]] = {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    }
    url: ClassVar[str] = "http://ufldl.stanford.edu/housenumbers/train_32x32.mat"
    to_put: ClassVar[str] = "train_32x32.mat and test_32x32.mat from http://ufldl.stanford.edu/housenumbers/"

    def official(self, root: Path, split: SplitName, fetch: bool) -> Arrays:
        """Read the two ``.mat`` files."""
        loaded = import_torchvision().datasets.SVHN(root, split=split, download=fetch)
        return loaded.data, loaded.labels


plugin = Svhn
