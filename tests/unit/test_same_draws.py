"""What tests draw is the same in every run: else one run in many fails on a change that has nothing to do with it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings


def test_properties_are_tried_on_the_same_examples_without_a_clock(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--hypothesis-profile"):
        pytest.skip("another profile was asked for")
    assert settings.default is not None
    assert settings.default.derandomize and settings.default.deadline is None


@pytest.mark.parametrize("again", [1, 2])
def test_pytorch_draws_what_it_drew_in_the_test_before(again: int) -> None:
    assert torch.initial_seed() == 0
    expected = torch.randn(3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.randn(3), expected), again
