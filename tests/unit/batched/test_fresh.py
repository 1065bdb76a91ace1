"""What is drawn anew at every step: published words, distributions, and independence of everything but its key."""

from __future__ import annotations

import re
import shutil

import pytest
import torch

from harness.batched import fresh, keyed
from harness.batched.specs import DrawSpec, Init, TensorSpec

VECTORS = [  # Random123's known answers for Philox-4x32-10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
COUNT = 20_000
KEYS = torch.tensor([keyed.short_key(seed, "draws/noise") for seed in (1, 2)])


def draw(kind: str, scale: float = 1.0, step: int = 0, keys: torch.Tensor = KEYS, **options: object) -> torch.Tensor:
    spec = DrawSpec("noise", (None, 5), Init(kind, scale))  # type: ignore[arg-type]
    dtype = options.get("dtype", torch.float64)
    return fresh.draw(spec, keys, torch.tensor(step), COUNT // 5, dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_words_are_the_published_ones(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    found = fresh.philox(tuple(map(torch.tensor, counter)), tuple(map(torch.tensor, key)))  # type: ignore[arg-type]
    assert tuple(map(int, found)) == expected


@pytest.mark.parametrize("kind", ["uniform", "normal", "sign", "integer"])
def test_draws_depend_on_seed_name_and_step_alone(kind: str) -> None:
    scale = 7 if kind == "integer" else 0.5
    first = draw(kind, scale)
    assert first.shape == (2, COUNT // 5, 5)
    assert torch.equal(first, draw(kind, scale))
    assert torch.equal(first[1:], draw(kind, scale, keys=KEYS[1:]))
    others = [draw(kind, scale, step=1)[0], draw(kind, scale, step=2**33)[0], first[1]]
    other_name = torch.tensor([keyed.short_key(1, "draws/other")])
    for other in (*others, draw(kind, scale, keys=other_name)[0]):
        share = (other == first[0]).double().mean()
        assert share < (0.52 if kind == "sign" else 0.2)
    assert (draw(kind, scale, dtype=torch.float32) - first).abs().max() < 1e-6


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("cpu", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="needs a compiler of C++")),
        pytest.param("cuda", marks=pytest.mark.gpu),
    ],
)
def test_compiled_words_are_the_same_and_no_index_is_multiplied(device: str) -> None:
    """Triton keeps an index in 32 bits, and refuses to multiply it by a word that does not fit them."""
    from torch._inductor import config  # takes a second
    from torch._inductor.utils import run_and_get_code

    keys, step = KEYS.to(device), torch.tensor([2**33 + 5], device=device)
    compiled = torch.compile(lambda keys, step: fresh.words(keys, step, 37), fullgraph=True, dynamic=False)
    # Otherwise a pool of processes, a compiled header and a program for each instruction set are made for one file.
    quick = {"compile_threads": 1, "cpp_cache_precompile_headers": False, "cpp.vec_isa_ok": True}
    with config.patch(quick):
        found, code = run_and_get_code(compiled, keys, step)
    assert torch.equal(found, fresh.words(keys, step, 37))
    multiplier = fresh.MULTIPLIERS[0]
    assert any(str(multiplier) in part for part in code)
    assert not any(re.search(rf"{multiplier}L?\s*\*\s*\(?x\d", part) for part in code)


@pytest.mark.parametrize(
    ("kind", "scale", "mean", "var", "low", "high"),
    [
        ("uniform", 2.0, 0.0, 4 / 3, -2.0, 2.0),
        ("normal", 3.0, 0.0, 9.0, -3 * 5.5, 3 * 5.5),
        ("sign", 0.5, 0.0, 0.25, -0.5, 0.5),
        ("integer", 10, 4.5, 8.25, 0, 9),
    ],
)
def test_draws_are_distributed_as_they_say(
    kind: str, scale: float, mean: float, var: float, low: float, high: float
) -> None:
    """Mean and variance within 5 standard errors; both ends are met by whatever has some."""
    found = draw(kind, scale)
    values = found.double().flatten()
    assert abs(values.mean() - mean) < 5 * (var / len(values)) ** 0.5
    assert abs(values.var() / var - 1) < 5 * (3 / len(values)) ** 0.5
    assert low <= values.min() and values.max() <= high
    if kind in ("sign", "integer"):
        assert set(values.tolist()) == ({-0.5, 0.5} if kind == "sign" else set(map(float, range(10))))
    assert found.dtype == (torch.int64 if kind == "integer" else torch.float64)


def test_normals_are_finite_in_float32() -> None:
    """The largest uniform number would be 1 there."""
    assert draw("normal", dtype=torch.float32).isfinite().all()
    largest = torch.special.ndtri((torch.tensor(2**24 - 1).double() + 0.5) * 2.0**-24)
    assert largest.float().isfinite()


@pytest.mark.parametrize(("kind", "scale"), [("sign", 0.5), ("integer", 4)])
def test_what_is_drawn_once_may_be_signs_or_integers_too(kind: str, scale: float) -> None:
    spec = TensorSpec("b", (100, 100), Init(kind, scale), "head")  # type: ignore[arg-type]
    found = keyed.tensor(spec, 1, "feedback")
    assert set(found.flatten()) == ({-0.5, 0.5} if kind == "sign" else {0.0, 1.0, 2.0, 3.0})
    assert abs(found.mean() - (0 if kind == "sign" else 1.5)) < 0.1
