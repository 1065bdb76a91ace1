"""The digits that scikit-learn bundles: official if they are those that are known."""

from __future__ import annotations

from pathlib import Path

import pytest
import sklearn.datasets

from harness.datasets.digits import Digits


def test_bundled_digits_are_known_by_their_content(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Digits(name="digits").load(Path(), print)
    assert images.canonical and images.origin == "scikit-learn's bundled digits, split 1,437/360 by a fixed key"
    bunch = sklearn.datasets.load_digits()
    bunch.images[0, 0, 0] += 1
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: bunch)
    other = Digits(name="digits").load(Path(), print)
    assert other.fingerprint != images.fingerprint
    assert not other.canonical and "not the images that scikit-learn is known to bundle" in other.origin
