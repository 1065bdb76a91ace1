"""Triton's interpreter, as tests of kernels use it: it tells of integers that overflow, as Triton's own does."""

from __future__ import annotations

import pytest
import torch
from triton import language as tl

from tests.unit.training.interpreted import ON_CARD, kernel

pytestmark = [
    pytest.mark.usefixtures("interpreter"),
    pytest.mark.skipif(ON_CARD, reason="on a card no interpreter runs"),
]
LARGEST = 2**31 - 1


def calculate(x, y, operation: tl.constexpr):
    number = tl.load(x)
    if operation == "add":
        number = number + 1
    elif operation == "sub":
        number = 0 - number - 2
    else:
        number = number * number
    tl.store(y, number)


@pytest.mark.parametrize(("operation", "exact"), [("add", LARGEST + 1), ("sub", -LARGEST - 2), ("mul", LARGEST**2)])
def test_integers_that_overflow_are_an_error(operation: str, exact: int) -> None:
    def result(number: int, kind: torch.dtype) -> int:
        out = torch.zeros(1, dtype=kind)
        kernel(calculate)[(1,)](torch.tensor([number], dtype=kind), out, operation=operation)
        return int(out)

    with pytest.raises(Exception, match="overflow"):
        result(LARGEST, torch.int32)
    assert result(LARGEST, torch.int64) == exact
    assert result(10, torch.int32) == {"add": 11, "sub": -12, "mul": 100}[operation]
