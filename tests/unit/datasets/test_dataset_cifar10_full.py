"""All of CIFAR-10 as image files, where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.datasets._images import has_tree
from harness.datasets.cifar10 import Cifar10

FOLDER = os.environ.get("HARNESS_DATA", "")


@pytest.mark.skipif(
    not FOLDER or not has_tree(Path(FOLDER) / "cifar10"),
    reason="needs 60,000 image files: set HARNESS_DATA to a folder with cifar10/{train,test}/<class>/*.jpg",
)
def test_all_of_cifar10(monkeypatch):
    monkeypatch.delenv("HARNESS_CACHE")  # decoding all of it takes half a minute on two cores: share the user's cache
    images = Cifar10(name="cifar10").load(Path(FOLDER), print)
    assert images.train_images.shape == (50_000, 3, 32, 32) and images.test_images.shape == (10_000, 3, 32, 32)
    assert np.bincount(images.train_labels).tolist() == [5_000] * 10
    assert np.bincount(images.test_labels).tolist() == [1_000] * 10
    assert not images.canonical
    # Recoding as JPEG keeps the means to a few 1e-4 and loses a little of the spread.
    pixels = images.train_images / np.float32(255)
    assert np.allclose(pixels.mean((0, 2, 3), dtype=np.float64), Cifar10.mean, atol=1e-3)
    assert np.allclose(pixels.std((0, 2, 3), dtype=np.float64), Cifar10.std, atol=3e-3)
