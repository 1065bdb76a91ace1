"""CIFAR-10: 60,000 colour photographs of ten classes, 32 × 32 (Krizhevsky 2009)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from harness.datasets._image_dataset import Arrays, ImageDataset, SplitName
from harness.datasets._torchvision import import_torchvision


class Cifar10(ImageDataset):
    """Data set of 50,000 training and 10,000 test images, RGB."""

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
    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    to_put: ClassVar[str] = f"cifar-10-batches-py/, unpacked from {url}"

    def official(self, root: Path, split: SplitName, fetch: bool) -> Arrays:
        """Read ``cifar-10-batches-py``."""
        import numpy as np

        loaded = import_torchvision().datasets.CIFAR10(root, train=split == "train", download=fetch)
        return loaded.data.transpose(0, 3, 1, 2), np.asarray(loaded.targets)


plugin = Cifar10
