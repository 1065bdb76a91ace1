"""Keyed random numbers: functions of (seed, purpose, index), with frozen values and the right distributions."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import stats

from harness.batched import keyed
from harness.batched.specs import Init, TensorSpec


def test_words_are_philox_under_the_documented_key() -> None:
    digest = hashlib.sha256(b"harness/v1\x007\x00order\x003").digest()
    expected = np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8")).random_raw(5)
    assert (keyed.words(5, 7, "order", 3) == expected).all()


def test_values_are_frozen() -> None:
    """A change of any of these numbers changes every published result: it needs a new tag, not a new value here."""
    assert keyed.permutation(8, 42, "order", 0).tolist() == [7, 6, 3, 5, 1, 4, 2, 0]
    assert keyed.integers(81, 5, 42, "crop", 1).tolist() == [77, 37, 8, 47, 12]


def test_every_part_of_the_key_matters() -> None:
    base = keyed.words(4, 1, "order", 0).tolist()
    assert base == keyed.words(4, 1, "order", 0).tolist()
    for other in (keyed.words(4, 2, "order", 0), keyed.words(4, 1, "flip", 0), keyed.words(4, 1, "order", 1)):
        assert base != other.tolist()


def test_a_prefix_does_not_depend_on_how_many_are_drawn() -> None:
    assert (keyed.uniform(1000, 3, "x")[:10] == keyed.uniform(10, 3, "x")).all()


def test_permutation_holds_every_index_once() -> None:
    assert sorted(keyed.permutation(1000, 5, "order", 2)) == list(range(1000))


def test_distributions() -> None:
    normal = keyed.tensor(TensorSpec("w", (200, 100), Init("normal", 0.01), "block_0"), 9, "weights").ravel()
    assert stats.kstest(normal / 0.01, "norm").pvalue > 1e-3
    uniform = keyed.tensor(TensorSpec("u", (200, 100), Init("uniform", 0.5), "head"), 9, "weights").ravel()
    assert stats.kstest(uniform, stats.uniform(-0.5, 1.0).cdf).pvalue > 1e-3
    assert np.isfinite(normal).all()
    crops = np.bincount(keyed.integers(81, 81_000, 9, "crop"), minlength=81)
    assert stats.chisquare(crops).pvalue > 1e-3


def test_tensors_of_one_seed_differ_by_name() -> None:
    one, two = (keyed.tensor(TensorSpec(n, (50,), Init("normal", 1.0), "g"), 1, "weights") for n in ("a", "b"))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.5
    assert not np.array_equal(one, two)
