"""CIFAR-10: 60,000 colour photographs of ten classes, 32 × 32 (Krizhevsky 2009)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from harness.datasets._image_dataset import Arrays, ImageDataset, SplitName
from harness.datasets._torchvision import import_torchvision


class Cifar10(ImageDataset):
    """Data set of 50,000 training and 10,000 test images, RGB.

    Source:
        Krizhevsky 2009, Learning multiple layers of features from tiny images.

    Use:
        The usual data set of the field for convolutional and fully connected networks.

    Traps:
        Copies as JPEG are not the canonical pixels: the fingerprint in a verdict tells. Flat networks without
        augmentation overfit it within tens of epochs.
    """

    name: Literal["cifar10"]
    title: ClassVar[str] = "CIFAR-10"
    channels: ClassVar[int] = 3
    size: ClassVar[int] = 32
    classes: ClassVar[int] = 10
    train_count: ClassVar[int] = 50_000
    test_count: ClassVar[int] = 10_000
    # Over all pixels of the training images, as customary.
    mean: ClassVar[tuple[float, ...]] = (0.4914, 0.4822, 0.4465)
    std: ClassVar[tuple[float, ...]] = (0.2470, 0.2435, 0.2616)
    labels: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    files: ClassVar[tuple[str, ...]] = ("cifar-10-batches-py",)
    checksums: ClassVar[Mapping[str, str]] = {
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    }
    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    to_put: ClassVar[str] = f"cifar-10-batches-py/, unpacked from {url}"

    def official(self, root: Path, split: SplitName, fetch: bool) -> Arrays:
        """Read ``cifar-10-batches-py``."""
        import numpy as np

        loaded = import_torchvision().datasets.CIFAR10(root, train=split == "train", download=fetch)
        return loaded.data.transpose(0, 3, 1, 2), np.asarray(loaded.targets)


plugin = Cifar10
