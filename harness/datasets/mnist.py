"""MNIST: 70,000 handwritten digits, 28 × 28 (LeCun, Bottou, Bengio and Haffner 1998)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from harness.datasets._image_dataset import Arrays, ImageDataset, SplitName
from harness.datasets._torchvision import read_idx


class Mnist(ImageDataset):
    """Data set of 60,000 training and 10,000 test images, grey.

    Source:
        LeCun, Cortes and Burges 1998.

    Use:
        To compare with published figures of feedback alignment.

    Traps:
        Differences between rules are a few tenths of a percentage point, which takes many seeds. Published codes scale
        inputs to [0, 1] without standardising them.
    """

    name: Literal["mnist"]
    title: ClassVar[str] = "MNIST"
    channels: ClassVar[int] = 1
    size: ClassVar[int] = 28
    classes: ClassVar[int] = 10
    train_count: ClassVar[int] = 60_000
    test_count: ClassVar[int] = 10_000
    train_class_counts: ClassVar[tuple[int, ...] | None] = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    test_class_counts: ClassVar[tuple[int, ...] | None] = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    # Over all pixels of the training images; as in pytorch/examples, mnist/main.py.
    mean: ClassVar[tuple[float, ...]] = (0.1307,)
    std: ClassVar[tuple[float, ...]] = (0.3081,)
    labels: ClassVar[tuple[str, ...]] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    files: ClassVar[tuple[str, ...]] = ("MNIST",)
    checksums: ClassVar[Mapping[str, str]] = {
        "MNIST/raw/train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "MNIST/raw/train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "MNIST/raw/t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "MNIST/raw/t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    url: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz"
    to_put: ClassVar[str] = (
        "MNIST/raw/ with {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz "
        "from https://ossci-datasets.s3.amazonaws.com/mnist/"
    )

    def official(self, root: Path, split: SplitName, fetch: bool) -> Arrays:
        """Read the packed files in ``MNIST/raw``."""
        return read_idx("MNIST", root, split == "train", fetch)


plugin = Mnist
