"""What every image data set declares about itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from harness.datasets import Images
from harness.datasets._image_dataset import ImageDataset
from harness.errors import UsageError
from harness.plugins.registry import find_members

IMAGE_SETS = {name: plugin for name, plugin in find_members("datasets").items() if issubclass(plugin, ImageDataset)}


def test_all_five_are_found():
    assert set(IMAGE_SETS) >= {"cifar10", "cifar100", "mnist", "fashion_mnist", "svhn"}


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_declarations_agree(name):
    dataset = IMAGE_SETS[name](name=name)
    assert len(dataset.labels) == len(set(dataset.labels)) == dataset.classes
    assert len(dataset.mean) == len(dataset.std) == dataset.channels
    assert all(0 < value < 1 for value in dataset.mean + dataset.std)
    assert dataset.features == dataset.channels * dataset.size**2
    assert dataset.train_count > dataset.test_count > 0
    for total, by_class in (
        (dataset.train_count, dataset.train_class_counts),
        (dataset.test_count, dataset.test_class_counts),
    ):
        assert by_class is None or (sum(by_class) == total and len(by_class) == dataset.classes)
        assert by_class is not None or total % dataset.classes == 0, (
            "classes are not alike, so their sizes are declared"
        )


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_official_label_order_of_cifar_is_alphabetical(name):
    assert list(IMAGE_SETS[name].labels) == sorted(IMAGE_SETS[name].labels)


def test_listing_loads_nothing_heavy():
    program = (
        "import sys; from harness.plugins.registry import find_members; find_members('datasets'); "
        "print([m for m in ('torch', 'torchvision', 'PIL', 'scipy', 'sklearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"train_images": np.zeros((4, 1, 2, 2))}, r"training split has images float64\(4, 1, 2, 2\), expected uint8"),
        ({"test_images": np.zeros((4, 2, 2), np.uint8)}, r"test split has images uint8\(4, 2, 2\), expected uint8 \[N"),
        ({"train_labels": np.zeros(4)}, r"labels float64\(4,\), expected int64\(4,\)"),
        ({"test_labels": np.zeros(3, np.int64)}, r"labels int64\(3,\), expected int64\(4,\)"),
        ({"train_labels": np.array([0, 1, 2, 0])}, "the label 2, expected 0 to 1"),
        ({"test_labels": np.array([0, 1, -1, 0])}, "the label -1, expected 0 to 1"),
    ],
)
def test_arrays_that_no_data_set_may_give_are_refused(changed, told):
    """Also those of a plug-in that is not ours: nothing later would look at them again."""
    images, labels = np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 1, 0])
    right = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    rest = {"classes": ("no", "yes"), "origin": "made up", "canonical": False}
    assert Images(**right, **rest).notes
    with pytest.raises(UsageError, match=told) as caught:
        Images(**right | changed, **rest)
    assert caught.value.where == "made up" and caught.value.remedy
