"""Subsets and validation splits: who is in them, in which proportions, and that nothing else changes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets import Images
from harness.datasets.digits import Digits
from harness.domain.selection import select_images, share_out
from harness.errors import UsageError
from harness.records import Setup
from tests.oracles.reference_data import split_training

PLAIN: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"name": "residual_mlp", "width": 8, "blocks": 1},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "epochs": 1,
    "batch_size": 8,
}


@cache
def whole() -> Images:
    return Digits(name="digits").load(Path(), print)


def setup(**parts: Any) -> Setup:
    return Setup.model_validate(PLAIN | parts)


def select(**parts: Any) -> Images:
    return select_images(whole(), setup(**parts))


def by_class(labels: np.ndarray, classes: int = 10) -> list[int]:
    return np.bincount(labels, minlength=classes).tolist()


@given(st.integers(0, 400), st.lists(st.integers(0, 90), min_size=1, max_size=12))
def test_shares_are_exact_ones_rounded_down_or_up(count: int, sizes: list[int]) -> None:
    total = sum(sizes)
    count = min(count, total)
    found = share_out(count, sizes)
    assert sum(found) == count
    for share, size in zip(found, sizes, strict=True):
        assert share <= size
        assert total == 0 or abs(share * total - count * size) < total


def test_everything_is_the_data_set_itself() -> None:
    assert select() is whole()
    part = select(subset={"size": 500})
    assert select_images(part, setup(subset={"size": 500})) is part


@pytest.mark.parametrize(
    "asked",
    [
        {"subset": {"size": 500}},
        {"subset": {"classes": [7, 2, 3]}},
        {"subset": {"classes": [2, 3, 7], "size": 100}},
        {"validation": {"share": 0.1}},
        {"validation": {"count": 200}, "subset": {"classes": [0, 9, 4, 5], "size": 203}},
    ],
    ids=str,
)
def test_the_selection_is_the_one_that_the_documents_describe(asked: dict[str, Any]) -> None:
    """Held against code of the oracles', which shares none with harness; counts foretold are counts found."""
    one, part = setup(**asked), select(**asked)
    classes = sorted(asked.get("subset", {}).get("classes", range(10)))
    train, apart = split_training(
        whole().train_labels.tolist(),
        classes,
        validation=one.validation_count,
        size=asked.get("subset", {}).get("size"),
    )
    assert part.selected is not None
    assert part.selected.train_index.tolist() == train
    np.testing.assert_array_equal(part.train_images, whole().train_images[train])
    np.testing.assert_array_equal(part.selected.validation_images, whole().train_images[apart])
    names = np.array(classes)
    np.testing.assert_array_equal(names[part.train_labels], whole().train_labels[train])
    np.testing.assert_array_equal(names[part.selected.validation_labels], whole().train_labels[apart])
    tested = np.isin(whole().test_labels, classes)
    np.testing.assert_array_equal(part.test_images, whole().test_images[tested])
    np.testing.assert_array_equal(names[part.test_labels], whole().test_labels[tested])
    assert part.classes == tuple(str(number) for number in classes)
    assert not set(train) & set(apart)
    counts = (one.train_count, one.validation_count, one.test_count, one.classes)
    assert counts == (len(train), len(apart), tested.sum(), len(classes))


def test_a_validation_split_of_a_share_takes_that_share_of_every_class() -> None:
    part = select(validation={"share": 0.1})
    assert part.selected is not None
    apart, there = by_class(part.selected.validation_labels), by_class(whole().train_labels)
    assert sum(apart) == 144
    assert all(abs(some - 144 * every / 1437) < 1 for some, every in zip(apart, there, strict=True))
    np.testing.assert_array_equal(np.add(apart, by_class(part.train_labels)), there)


def test_arms_of_other_sizes_are_validated_on_the_same_images() -> None:
    small, large = (select(validation={"share": 0.2}, subset={"size": size}) for size in (50, 900))
    assert small.selected is not None and large.selected is not None
    assert small.selected.validation_fingerprint == large.selected.validation_fingerprint is not None
    assert small.fingerprint != large.fingerprint


def test_a_part_that_is_not_there_is_refused_with_what_is() -> None:
    """The data set declares its counts, but a folder of images may hold others."""
    half = Images(
        whole().train_images[:700], whole().train_labels[:700], whole().test_images, whole().test_labels,
        whole().classes, "half", False,
    )  # fmt: skip
    with pytest.raises(UsageError, match="1,000 images are asked for the training split, and there are 700") as refused:
        select_images(half, setup(subset={"size": 1000}))
    assert refused.value.where == "digits" and refused.value.remedy
    with pytest.raises(UsageError, match="asked for the validation split"):
        select_images(half, setup(validation={"count": 800}))
    with pytest.raises(UsageError, match="takes all 700"):
        select_images(half, setup(validation={"count": 700}))


def test_what_is_selected_is_the_same_every_time() -> None:
    """A registered subset stays what it was: these digests change with what is selected, and with nothing else."""
    part = select(validation={"share": 0.1}, subset={"classes": [0, 1, 8], "size": 120})
    assert part.selected is not None
    assert part.fingerprint.startswith("a0c8d036c0d412bf")
    assert part.selected.validation_fingerprint is not None
    assert part.selected.validation_fingerprint.startswith("5fa1f2516104d4a4")
