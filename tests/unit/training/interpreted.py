"""Imports Triton and the kernels as these tests want them: where there is no card, run by Triton's interpreter.

Triton reads a variable when a kernel is defined and when it is launched. It is set for these moments only: a run names
it among what selects the arithmetic, so that commands that other tests of this process start would differ from those of
a user. conftest.py imports this module before any test imports a kernel.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

ON_CARD = torch.cuda.is_available()


@contextmanager
def interpreted() -> Iterator[None]:
    """Define or launch kernels by Triton's interpreter, unless there is a card."""
    with pytest.MonkeyPatch.context() as patch:
        if not ON_CARD:
            patch.setenv("TRITON_INTERPRET", "1")
            interpreter = importlib.import_module("triton.runtime.interpreter")
            patch.setattr(interpreter, "_patch_lang", _at_launch_only(interpreter._patch_lang))
        yield


def _at_launch_only(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``prepare`` that does nothing where the interpreter's functions already stand in place of Triton's.

    The interpreter puts them there when a kernel is launched, and again, in vain, whenever a kernel calls a function:
    a third of its time.
    """

    def once(function: Callable[..., Any]) -> Any:
        language = importlib.import_module("triton.language")
        seen = [
            value for value in function.__globals__.values() if any(value is part for part in (language, language.core))
        ]
        return prepare(function) if any(language.core.is_builtin(part.load) for part in seen) else None

    return once


with interpreted():
    triton = importlib.import_module("triton")
    for name in ("common", "forward", "backward", "update"):
        importlib.import_module(f"harness.training.steps.kernels.triton.{name}")


def kernel(function: Callable[..., None]) -> Any:
    """Return a test's own kernel, defined as harness's are."""
    with interpreted():
        return triton.jit(function)
