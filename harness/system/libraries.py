"""Libraries that can't be loaded here: what they raise, or end the program with, because of a variable, a settings file
or how they were installed. That is no defect of harness, and most often one variable.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType

from harness.errors import UsageError

OWN = "harness"
LONGEST = 300
"""Letters of what a library says that are passed on: some list all that they would have taken."""


def unloadable(error: BaseException, variables: Mapping[str, str] = os.environ) -> UsageError | None:
    """What to tell somebody of an error that was raised while a library was loaded; None of any other."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = max((at for at, frame in enumerate(frames) if _package(frame) == OWN), default=-1)
    foreign = frames[own + 1 :]
    loading = [_package(frame) for frame in reversed(foreign) if frame.f_code.co_name == "<module>"]
    library = next((name for name in loading if name not in sys.stdlib_module_names), None)
    if library is None and isinstance(error, ImportError) and error.name is not None and not foreign:
        library = error.name.partition(".")[0]
    if library is None or library == OWN:
        return None
    if isinstance(error, ModuleNotFoundError) and not foreign:
        return UsageError(f"{library} is not installed here", remedy="install it: the README's first command does")
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    said = f"it ended the program ({said})" if isinstance(error, SystemExit) else said
    said = said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
    if culprits := _culprits(library, str(error), foreign, variables):
        named = " or ".join(culprits)
        return UsageError(
            f"{library} can't be loaded with what this variable says: {said}",
            where=named,
            remedy=f"unset {named}, or set it to what {library} takes, and give the same command again",
        )
    remedy = f"a variable or a file of settings may say so, or {library} is broken: harness --debug … shows where"
    return UsageError(f"{library} can't be loaded here: {said}", remedy=remedy)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _culprits(library: str, said: str, frames: list[FrameType], variables: Mapping[str, str]) -> list[str]:
    """The variables that are set and that the error names; else, of those that its code names, the ones whose value it
    tells, or that are named after the library."""
    if named := [name for name in variables if re.search(rf"\b{re.escape(name)}\b", said) and len(name) > len("LOG")]:
        return named
    texts = {text for frame in frames for text in _texts(frame.f_code, frame.f_globals)}
    read = [name for name in variables if name in texts]
    told = [name for name in read if variables[name] and variables[name] in said]
    return told or [name for name in read if library.upper() in name]


def _texts(code: CodeType, names: Mapping[str, object]) -> Iterator[str]:
    """The texts that a piece of code holds, or that names of its module in it stand for."""
    for found in (*code.co_consts, *(names.get(name) for name in code.co_names)):
        if isinstance(found, str):
            yield found
