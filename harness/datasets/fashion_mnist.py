"""Fashion-MNIST: 70,000 articles of clothing, 28 × 28 (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from harness.datasets._image_dataset import Arrays, ImageDataset, SplitName
from harness.datasets._torchvision import read_idx


class FashionMnist(ImageDataset):
    """Data set of 60,000 training and 10,000 test images, grey.

    Source:
        Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747.

    Use:
        In place of MNIST where rules shall differ visibly at the same cost.

    Traps:
        Flips leave most classes meaningful, crops less so. Figures from MNIST don't carry over.
    """

    name: Literal["fashion_mnist"]
    title: ClassVar[str] = "Fashion-MNIST"
    channels: ClassVar[int] = 1
    size: ClassVar[int] = 28
    classes: ClassVar[int] = 10
    train_count: ClassVar[int] = 60_000
    test_count: ClassVar[int] = 10_000
    # Over all pixels of the training images, as customary.
    mean: ClassVar[tuple[float, ...]] = (0.2860,)
    std: ClassVar[tuple[float, ...]] = (0.3530,)
    labels: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    files: ClassVar[tuple[str, ...]] = ("FashionMNIST",)
    checksums: ClassVar[Mapping[str, str]] = {
        "FashionMNIST/raw/train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "FashionMNIST/raw/train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "FashionMNIST/raw/t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    url: ClassVar[str] = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz"
    to_put: ClassVar[str] = (
        "FashionMNIST/raw/ with {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz "
        "from http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    )

    def official(self, root: Path, split: SplitName, fetch: bool) -> Arrays:
        """Read the packed files in ``FashionMNIST/raw``."""
        return read_idx("FashionMNIST", root, split == "train", fetch)


plugin = FashionMnist
