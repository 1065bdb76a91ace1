"""What every image data set declares about itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.datasets._image_dataset import ImageDataset
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


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_official_label_order_of_cifar_is_alphabetical(name):
    assert list(IMAGE_SETS[name].labels) == sorted(IMAGE_SETS[name].labels)


def test_listing_loads_nothing_heavy():
    program = (
        "import sys; from harness.plugins.registry import find_members; find_members('datasets'); "
        "print([m for m in ('torch', 'torchvision', 'PIL', 'scipy', 'sklearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
