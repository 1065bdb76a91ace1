"""Random numbers that are a function of (seed, purpose, index) and of nothing else.

Every draw opens its own Philox-4x64 counter stream (Salmon et al. 2011, doi 10.1145/2063384.2063405; NumPy's bit
generator, whose raw stream NumPy guarantees) under the key SHA-256("harness/v1", seed, purpose, index). No stream is
shared and none is advanced, so a replica's weights, feedback, order and augmentations cannot depend on its cohort, on
the device, or on whether the run was resumed. Only raw 64-bit words are taken from NumPy; the mappings to
permutations, integers and normals are written out here, because NumPy may change its own between versions.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from harness.batched.specs import TensorSpec


def words(count: int, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Return ``count`` uniform 64-bit words, uint64 [count]."""
    digest = hashlib.sha256(f"harness/v1\0{seed}\0{purpose}\0{index}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def uniform(count: int, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Return uniform numbers on the open interval (0, 1), float64 [count]: the top 53 bits, shifted by half a step."""
    return ((words(count, seed, purpose, index) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def permutation(count: int, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Return a uniformly random order of range(count), int64 [count]: the stable sort of random words."""
    return np.argsort(words(count, seed, purpose, index), kind="stable").astype(np.int64)


def integers(high: int, count: int, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Return integers on 0 … high − 1, int64 [count]. The bias of the modulus is under high / 2⁶⁴."""
    return (words(count, seed, purpose, index) % np.uint64(high)).astype(np.int64)


def tensor(spec: TensorSpec, seed: int, purpose: str) -> np.ndarray:
    """Draw the tensor that ``spec`` describes for one seed, float64, shape ``spec.shape``.

    Normals come from the inverse distribution function, so that entry k depends on word k alone.
    """
    from scipy.special import ndtri  # imported here, because checking a file must not wait for SciPy

    count = math.prod(spec.shape)
    if spec.init.kind == "constant":
        flat = np.full(count, spec.init.scale)
    else:
        u = uniform(count, seed, f"{purpose}/{spec.name}")
        flat = spec.init.scale * (ndtri(u) if spec.init.kind == "normal" else 2.0 * u - 1.0)
    return np.asarray(flat, dtype=np.float64).reshape(spec.shape)
