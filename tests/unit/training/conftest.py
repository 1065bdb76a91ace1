"""Fixtures of the training's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def interpreter() -> Iterator[None]:
    """Has Triton run kernels by its interpreter during a test, where there is no card."""
    from tests.unit.training.interpreted import interpreted

    with interpreted():
        yield
