"""Fixtures of training's tests, and the kernels as these tests want them, before any of them imports a kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

collect_ignore: list[str] = []
try:
    from tests.unit.training.interpreted import interpreted
except ModuleNotFoundError as missing:
    if missing.name != "triton":
        raise
    # Triton is made for Linux only; there, too, PyTorch may come without it.
    collect_ignore += [
        f"test_training_{name}.py" for name in ("branches", "interpreted", "not_numbers", "supports", "twins")
    ]
else:

    @pytest.fixture
    def interpreter() -> Iterator[None]:
        """Has Triton run kernels by its interpreter during a test, where there is no card."""
        with interpreted():
            yield
