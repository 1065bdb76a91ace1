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
    key = np.frombuffer(_digest(seed, purpose, index)[:16], dtype="<u8").astype(np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def short_key(seed: int, purpose: str, index: int = 0) -> tuple[int, int]:
    """Return the key of ``fresh``'s streams, two words of 32 bits."""
    low, high = np.frombuffer(_digest(seed, purpose, index)[:8], dtype="<u4")
    return int(low), int(high)


def _digest(seed: int, purpose: str, index: int) -> bytes:
    return hashlib.sha256(f"harness/v1\0{seed}\0{purpose}\0{index}".encode()).digest()


def uniform(count: int, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Return uniform numbers on the open interval (0, 1), float64 [count]: the top 53 bits, shifted by half a step."""
    return ((words(count, seed, purpose, index) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def permutation(count: int, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Return a uniformly random order of range(count), int64 [count]: the stable sort of random words."""
    return np.argsort(words(count, seed, purpose, index), kind="stable").astype(np.int64)


def integers(high: int, count: int, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Return integers on 0 … high − 1, int64 [count]. The bias of the modulus is under high / 2⁶⁴."""
    return (words(count, seed, purpose, index) % np.uint64(high)).astype(np.int64)


def tensor(spec: TensorSpec, seed: int, purpose: str, index: int = 0) -> np.ndarray:
    """Draw the tensor that ``spec`` describes for one seed, float64, shape ``spec.shape``.

    Normals come from the inverse distribution function, so that entry k depends on word k alone.
    """
    from scipy.special import ndtri  # imported here, because checking a file must not wait for SciPy

    count, scale = math.prod(spec.shape), spec.init.scale
    if spec.init.kind == "constant":
        flat = np.full(count, scale)
    elif spec.init.kind == "integer":
        flat = integers(int(scale), count, seed, f"{purpose}/{spec.name}", index)
    elif spec.init.kind == "orthogonal":
        normal = ndtri(uniform(count, seed, f"{purpose}/{spec.name}", index))
        flat = scale * _orthogonalise(normal.reshape(-1, spec.shape[-1]))
    else:
        u = uniform(count, seed, f"{purpose}/{spec.name}", index)
        plain = {"normal": ndtri, "uniform": lambda u: 2.0 * u - 1.0, "sign": lambda u: np.where(u < 0.5, -1.0, 1.0)}
        flat = scale * plain[spec.init.kind](u)
    return np.asarray(flat, dtype=np.float64).reshape(spec.shape)


def _orthogonalise(normal: np.ndarray) -> np.ndarray:
    """Return the uniformly random orthogonal matrix [i, o] that a matrix of normals gives (Mezzadri 2007)."""
    wide = normal.shape[0] < normal.shape[1]
    q, r = np.linalg.qr(normal.T if wide else normal)
    q = q * np.sign(np.diag(r))  # so that the result is uniform, and the same whichever signs LAPACK chooses
    return q.T if wide else q
