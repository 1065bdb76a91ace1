"""Imports Triton and the kernels as these tests want them: where there is no card, run by Triton's interpreter.

Triton reads a variable when a kernel is defined and when it is launched. It is set for these moments only: a run names
it among what selects the arithmetic, so that commands that other tests of this process start would differ from those of
a user. conftest.py imports this module before any test imports a kernel.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

ON_CARD = torch.cuda.is_available()
OPERATIONS = {"add": np.add, "sub": np.subtract, "mul": np.multiply}
"""Operations of Triton's language whose integers are held against overflow."""


@contextmanager
def interpreted() -> Iterator[None]:
    """Define or launch kernels by Triton's interpreter, unless there is a card."""
    with pytest.MonkeyPatch.context() as patch:
        if not ON_CARD:
            patch.setenv("TRITON_INTERPRET", "1")
            interpreter = importlib.import_module("triton.runtime.interpreter")
            patch.setattr(interpreter, "_patch_lang", _at_launch_only(interpreter._patch_lang))
            patch.setattr(interpreter, "_get_np_dtype", _found_once(interpreter._get_np_dtype))
            blocks = importlib.import_module("triton.language.core").block_type
            patch.setattr(blocks, "__init__", _made_once(blocks.__init__))
            semantic = type(interpreter.interpreter_semantic)
            patch.setattr(semantic, "binary_op_sanitize_overflow_impl", _assert_no_overflow)
        yield


def _at_launch_only(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``prepare`` that does nothing where the interpreter's functions already stand in place of Triton's.

    The interpreter puts them there when a kernel is launched, and again, in vain, whenever a kernel calls a function:
    a third of its time.
    """

    def once(function: Callable[..., Any]) -> Any:
        is_builtin = importlib.import_module("triton.language.core").is_builtin
        return prepare(function) if any(is_builtin(part.load) for part in _find_languages(function)) else None

    return once


def _found_once(find: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a ``find`` that remembers NumPy's kinds of number by the names of Triton's, and makes no table of all."""
    known: dict[str, Any] = {}
    return lambda kind: known[kind.name] if kind.name in known else known.setdefault(kind.name, find(kind))


def _made_once(prepare: Callable[..., None]) -> Callable[..., None]:
    """Return a ``prepare`` of types of blocks that remembers the parts of each: a sixth of the interpreter's time."""
    known: dict[Any, dict[str, Any]] = {}

    def remembered(self: Any, element_ty: Any, shape: Any) -> None:
        key = (element_ty.name, *shape)
        if key not in known:
            prepare(self, element_ty, shape)
            known[key] = dict(self.__dict__)
        self.__dict__.update(known[key])

    return remembered


@cache
def _find_languages(function: Callable[..., Any]) -> list[Any]:
    """Return Triton's modules among what a function of a kernel knows by name."""
    language = importlib.import_module("triton.language")
    return [value for value in function.__globals__.values() if value is language or value is language.core]


def _assert_no_overflow(self: Any, lhs: Any, rhs: Any, operation: Callable[..., Any]) -> None:
    """Assert what Triton's own check does, that integers of less than 64 bits don't overflow.

    Triton does it by eight further operations of the interpreter, a quarter of its time.
    """
    if lhs.type.scalar.int_bitwidth >= 64:
        return
    assert lhs.type.scalar == rhs.type.scalar and lhs.type.scalar.is_int()
    exact = OPERATIONS[operation.__name__](lhs.handle.data, rhs.handle.data, dtype=np.int64)
    least, most = lhs.type.scalar.get_int_min_value(), lhs.type.scalar.get_int_max_value()
    assert least <= exact.min() and exact.max() <= most, f"{lhs.type.scalar} overflows in {operation.__name__}"


with interpreted():
    triton = importlib.import_module("triton")
    for name in ("common", "forward", "backward", "update"):
        importlib.import_module(f"harness.training.steps.kernels.triton.{name}")


def kernel(function: Callable[..., None]) -> Any:
    """Return a test's own kernel, defined as harness's are."""
    with interpreted():
        return triton.jit(function)
