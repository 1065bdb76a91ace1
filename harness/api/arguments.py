"""Arguments of the public face: one of a wrong type gets one error of harness's own, which says what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from numbers import Real
from os import PathLike
from typing import Any, NamedTuple, ParamSpec, TypeVar

from harness.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


class Kind(NamedTuple):
    """A kind of argument."""

    fits: Callable[[Any], bool]
    expected: str
    """Description of what fits, for a message."""
    remedy: Callable[[Any], str]
    """Takes what was given; says how it is given right."""


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number, of Python or of NumPy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, PathLike) and isinstance(value.__fspath__(), str))


def _is_sd(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and is_number(one) for name, one in value.items())
    return is_number(value)


def _quote(value: Any) -> str:
    return f"write it in quotes: {str(value)!r}" if is_number(value) else "write it in quotes, such as 'my-hypothesis'"


def _unquote(value: Any) -> str:
    return "write it without quotes, such as 1.5" if isinstance(value, str) else "write a number, such as 1.5"


TEXT = Kind(lambda value: isinstance(value, str), "a text", _quote)
PATH = Kind(_is_path, "a path, as a text or a pathlib.Path", lambda _: "give the path, such as 'hypotheses/x.yaml'")
FLAG = Kind(lambda value: isinstance(value, bool), "True or False", lambda _: "write True or False")
SD = Kind(_is_sd, "a number, or a number for each decision by name", _unquote)
CALLED = Kind(callable, "a function that is called with a text", lambda _: "give a function, such as print")
EFFECTS = Kind(
    lambda value: isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping),
    "a list of numbers",
    lambda value: (
        f"put it into a list: [{value!r}]" if is_number(value) else "give a list of numbers, such as [0, 1.5]"
    ),
)
KINDS: Mapping[str, Kind] = {
    "file": PATH, "paths": PATH, "exports": PATH, "project": PATH, "out": PATH, "data": PATH, "verdicts": PATH,
    "name": TEXT, "names": TEXT, "first": TEXT, "second": TEXT, "form": TEXT, "device": TEXT, "sd_from": TEXT,
    "against": TEXT, "measure": FLAG, "incomplete": FLAG, "resume": FLAG, "yes": FLAG, "say": CALLED, "sd": SD,
    "effects": EFFECTS,
}  # fmt: skip
"""Parameter of a function → kind of its argument, whichever function it is."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that refuses arguments of a wrong type before it does anything.

    None is left to the function where it stands for an argument that was left out.
    """
    from inspect import Parameter, signature

    declared = signature(function)
    optional = {name for name, one in declared.parameters.items() if one.default is None}
    several = {name for name, one in declared.parameters.items() if one.kind is Parameter.VAR_POSITIONAL}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, given in declared.bind(*args, **kwargs).arguments.items():
            if name in KINDS and not (given is None and name in optional):
                for value in given if name in several else (given,):
                    _require(function.__name__, name, value)
        return function(*args, **kwargs)

    return call


def _require(function: str, name: str, value: Any) -> None:
    kind = KINDS[name]
    if not kind.fits(value):
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
        message = f"{name} has to be {kind.expected}; it is {shown}, of type {type(value).__name__}"
        raise UsageError(message, where=f"harness.api.{function}", remedy=kind.remedy(value))


def require_numbers(function: str, name: str, values: Iterable[Any]) -> tuple[float, ...]:
    """Return numbers as a tuple.

    Raises:
        UsageError: one of them is no number.
    """
    found = tuple(values)
    for value in found:
        if not is_number(value):
            message = f"{name} has to be a list of numbers; {value!r} in it is of type {type(value).__name__}"
            raise UsageError(message, where=f"harness.api.{function}", remedy=_unquote(value))
    return tuple(map(float, found))
