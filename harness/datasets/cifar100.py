"""CIFAR-100: 60,000 colour photographs of a hundred classes, 32 × 32 (Krizhevsky 2009), with the fine labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from harness.datasets._image_dataset import Arrays, ImageDataset, SplitName
from harness.datasets._torchvision import import_torchvision


class Cifar100(ImageDataset):
    """Data set of 50,000 training and 10,000 test images, RGB.

    Source:
        Krizhevsky 2009, Learning multiple layers of features from tiny images.

    Use:
        As CIFAR-10 with a hundred classes: direct feedback is then of rank 100.

    Traps:
        Labels are the fine ones. A class has 100 test images, and chance is 1%.
    """

    name: Literal["cifar100"]
    title: ClassVar[str] = "CIFAR-100"
    channels: ClassVar[int] = 3
    size: ClassVar[int] = 32
    classes: ClassVar[int] = 100
    train_count: ClassVar[int] = 50_000
    test_count: ClassVar[int] = 10_000
    # Over all pixels of the training images; as in weiaicunzai/pytorch-cifar100, rounded.
    mean: ClassVar[tuple[float, ...]] = (0.5071, 0.4865, 0.4409)
    std: ClassVar[tuple[float, ...]] = (0.2673, 0.2564, 0.2762)
    labels: ClassVar[tuple[str, ...]] = (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
        "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
        "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
        "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
        "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
        "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
        "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
        "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
        "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger",
        "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    )  # fmt: skip
    files: ClassVar[tuple[str, ...]] = ("cifar-100-python",)
    checksums: ClassVar[Mapping[str, str]] = {
        "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
        "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    }
    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    to_put: ClassVar[str] = f"cifar-100-python/, unpacked from {url}"

    def official(self, root: Path, split: SplitName, fetch: bool) -> Arrays:
        """Read ``cifar-100-python``."""
        import numpy as np

        loaded = import_torchvision().datasets.CIFAR100(root, train=split == "train", download=fetch)
        return loaded.data.transpose(0, 3, 1, 2), np.asarray(loaded.targets)


plugin = Cifar100
