"""Convolutions and pooling of stacked replicas: every form the same, replicas apart, ways back of their own."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.batched.convolution import choose_form, convolve, pool_max
from harness.batched.forms import MEASURED, Form, Layer, find_form, present
from harness.batched.layers import Pair
from harness.batched.windows import Window

FORMS: tuple[Form, ...] = get_args(Form)
WINDOWS = [Window(3, 1, 1), Window(2, 2), Window(5, 3, 2), Window(1)]


def made(window: Window) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 4, 3, 7, 7), (2, 3 * window.side**2, 5), (2, 5)
    return tuple(torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes)  # type: ignore[return-value]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_pytorchs_convolution_of_each_replica(form: Form, window: Window) -> None:
    x, weight, bias = made(window)
    found = convolve(x, weight, bias, window, form)
    kernels = weight.mT.reshape(2, 5, 3, window.side, window.side)
    expected = torch.stack(
        [functional.conv2d(x[r], kernels[r], bias[r], window.stride, window.padding) for r in range(2)]
    )
    assert found.shape == expected.shape == (2, 4, 5, window.count(7), window.count(7))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    along = torch.randn_like(expected)
    own, plain = (torch.autograd.grad((value * along).sum(), [x, weight, bias]) for value in (found, expected))
    for gradient, other in zip(own, plain, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(convolve(x, weight, bias, window, form)[0].sum(), weight)
    assert gradient[0].any() and not gradient[1].any()


@pytest.mark.parametrize("form", FORMS)
def test_a_pair_sends_back_its_other_kernel(form: Form) -> None:
    """Value and gradient of W are W's, the input's gradient is B's, and a B that learns gets the gradient of W."""
    window = WINDOWS[0]
    x, weight, bias = made(window)
    other = torch.randn_like(weight).requires_grad_()
    plain = convolve(x, weight, bias, window, form)
    along = torch.randn_like(plain)
    found = convolve(x, Pair(weight, other, learns=True), bias, window, form)
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=1e-12)
    g_x, g_w, g_b, g_other = torch.autograd.grad((found * along).sum(), [x, weight, bias, other])
    _, expected_w, expected_b = torch.autograd.grad((plain * along).sum(), [x, weight, bias])
    (expected_x,) = torch.autograd.grad((convolve(x, other, None, window, form) * along).sum(), x)
    for gradient, expected in ((g_x, expected_x), (g_w, expected_w), (g_b, expected_b), (g_other, expected_w)):
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


def test_a_form_is_chosen_for_every_shape() -> None:
    shapes = [(1, 2, 1, 8), (40, 128, 3, 32), (40, 128, 64, 8)]
    assert {choose_form(torch.empty(r, n, c, s, s), 8, Window(3)) for r, n, c, s in shapes} <= set(FORMS)


def test_forms_of_a_card_are_those_of_its_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table in the code is what benchmarks/conv.py makes of what it measured, and names no form that was slower."""
    folder = Path(__file__).resolve().parents[3] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    conv = importlib.import_module("conv")
    measured = json.loads((folder / "conv.json").read_text(encoding="utf-8"))
    assert MEASURED[measured["device"]] == conv.list_forms(measured["rows"])
    layers = {shape.name: Layer(shape.channels, shape.out, shape.side, shape.window) for shape in conv.SHAPES}
    for row in measured["rows"]:
        chosen = find_form(measured["device"], layers[row["layer"]], row["replicas"])
        assert chosen == "grouped" or row[chosen] * conv.MARGIN < row["grouped"]
        assert row[chosen] <= conv.PATCHES * min(row[form] for form in FORMS)


def test_a_card_or_layer_that_nobody_measured_is_grouped() -> None:
    layer = Layer(64, 128, 6, Window(3))
    assert [find_form("NVIDIA H200", layer, replicas) for replicas in (1, 9, 10, 39, 64)] == [
        "grouped", "grouped", "batched", "batched", "batched"
    ]  # fmt: skip
    assert find_form("NVIDIA H200", layer._replace(side=7), 40) == find_form("another card", layer, 40) == "grouped"


def test_a_chosen_form_is_computed_in_and_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the device is a card; the meta device, which computes nothing, stands for one in the choice."""
    monkeypatch.setitem(present, "card", "NVIDIA H200")
    x = torch.empty(10, 2, 64, 6, 6, device="meta")
    assert choose_form(x, 128, Window(3)) == "batched" and choose_form(x[:1], 128, Window(3)) == "grouped"
    weight = torch.empty(10, 64 * 9, 128, device="meta")

    def run(x: Tensor, weight: Tensor) -> Tensor:
        return convolve(x, weight, None, Window(3))

    compiled = torch.compile(run, fullgraph=True, dynamic=False, backend="eager")
    assert compiled(x, weight).stride() == convolve(x, weight, None, Window(3), "batched").stride()
    assert compiled(x, weight).stride() != convolve(x, weight, None, Window(3), "grouped").stride()


@pytest.mark.parametrize("window", [Window(2, 2), Window(3, 2), Window(3, 2, 1), Window(2, 3, 1)])
def test_pooling_is_pytorchs(window: Window) -> None:
    """Overlapping windows too, which are reduced in another way; ties go to the first."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(4, (2, 3, 2, 7, 7), generator=generator).double().requires_grad_()
    found = pool_max(x, window)
    expected = functional.max_pool2d(x.flatten(0, 1), *window).view_as(found)
    assert torch.equal(found, expected) and found.shape[-1] == window.count(7)
    along = torch.randn_like(found)
    own, plain = (torch.autograd.grad((value * along).sum(), x)[0] for value in (found, expected))
    torch.testing.assert_close(own, plain, rtol=1e-12, atol=1e-12)
