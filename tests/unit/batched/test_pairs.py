"""A weight whose way back is another matrix."""

from __future__ import annotations

import pytest
import torch

from harness.batched.layers import Pair, linear

G = torch.Generator().manual_seed(3)


def made(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=G).requires_grad_()


@pytest.mark.parametrize("learns", [False, True])
def test_a_pair_goes_forward_by_one_matrix_and_back_by_the_other(learns: bool) -> None:
    x, w, b, back = made(2, 5, 3), made(2, 3, 4), made(2, 4), made(2, 3, 4)
    delta = torch.randn(2, 5, 4, dtype=torch.float64, generator=G)
    out = linear(x, Pair(w, back, learns), b)
    assert torch.equal(out, linear(x, w, b))
    gx, gw, gb, gback = torch.autograd.grad((out * delta).sum(), [x, w, b, back], allow_unused=True)
    torch.testing.assert_close(gx, delta @ back.mT, rtol=1e-14, atol=0)
    torch.testing.assert_close(gw, x.mT @ delta, rtol=1e-14, atol=0)
    torch.testing.assert_close(gb, delta.sum(1), rtol=1e-14, atol=0)
    if learns:
        torch.testing.assert_close(gback, gw, rtol=0, atol=0)
    else:
        assert gback is None


def test_a_pair_of_one_matrix_is_that_matrix() -> None:
    x, w, b = made(2, 5, 3), made(2, 3, 4), made(2, 4)
    pairs = [torch.autograd.grad(linear(x, one, b).square().sum(), [x, w, b]) for one in (w, Pair(w, w))]
    for plain, paired in zip(*pairs, strict=True):
        torch.testing.assert_close(paired, plain, rtol=1e-14, atol=0)


def test_before_the_first_weight_nothing_goes_back() -> None:
    x, w, b, back = made(2, 5, 3).detach(), made(2, 3, 4), made(2, 4), made(2, 3, 4)
    (gw,) = torch.autograd.grad(linear(x, Pair(w, back), b).sum(), [w])
    torch.testing.assert_close(gw, x.mT @ torch.ones(2, 5, 4, dtype=torch.float64), rtol=1e-14, atol=0)
