"""Libraries that fail to load here because of a variable, a settings file or their installation.

They raise an exception or end the program. That is no defect of harness, and most often a single variable causes it.
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
MAX_MESSAGE_LENGTH = 300
"""Maximum number of characters of a library's message that are passed on; some list every value they would accept."""


def explain_load_failure(error: BaseException, variables: Mapping[str, str] = os.environ) -> UsageError | None:
    """Return the message for an error that was raised while a library was loaded; None for any other error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = max((at for at, frame in enumerate(frames) if _find_package(frame) == OWN), default=-1)
    foreign = frames[own + 1 :]
    loading = [_find_package(frame) for frame in reversed(foreign) if frame.f_code.co_name == "<module>"]
    library = next((name for name in loading if name not in sys.stdlib_module_names), None)
    if library is None and isinstance(error, ImportError) and error.name is not None and not foreign:
        library = error.name.partition(".")[0]
    if library is None or library == OWN:
        return None
    if isinstance(error, ModuleNotFoundError) and not foreign:
        return UsageError(f"{library} is not installed here", remedy="install it: the README's first command does")
    message = f"{type(error).__name__}: {' '.join(str(error).split())}"
    message = f"it ended the program ({message})" if isinstance(error, SystemExit) else message
    message = message if len(message) <= MAX_MESSAGE_LENGTH else f"{message[:MAX_MESSAGE_LENGTH]}…"
    if culprits := _find_culprits(library, str(error), foreign, variables):
        named = " or ".join(culprits)
        return UsageError(
            f"{library} can't be loaded with what this variable says: {message}",
            where=named,
            remedy=f"unset {named}, or set it to what {library} takes, and give the same command again",
        )
    remedy = f"a variable or a file of settings may say so, or {library} is broken: harness --debug … shows where"
    return UsageError(f"{library} can't be loaded here: {message}", remedy=remedy)


def _find_package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _find_culprits(library: str, message: str, frames: list[FrameType], variables: Mapping[str, str]) -> list[str]:
    """Return the variables that probably caused the error.

    These are the set variables that the message names; otherwise, of those that the library's code names, the ones
    whose value the message quotes or, failing that, that are named after the library.
    """
    if named := [
        name for name in variables if re.search(rf"\b{re.escape(name)}\b", message) and len(name) > len("LOG")
    ]:
        return named
    texts = {text for frame in frames for text in _list_strings(frame.f_code, frame.f_globals)}
    read = [name for name in variables if name in texts]
    told = [name for name in read if variables[name] and variables[name] in message]
    return told or [name for name in read if library.upper() in name]


def _list_strings(code: CodeType, names: Mapping[str, object]) -> Iterator[str]:
    """Yield the strings among a code object's constants and among the module-level names that it uses."""
    for found in (*code.co_consts, *(names.get(name) for name in code.co_names)):
        if isinstance(found, str):
            yield found
