"""Notes which files a Python program opens to read: found first on its path, so that it is imported as it starts.

It sees what CPython's audit events tell, not what libraries in C open by themselves, so it is a warning and no proof.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys

TYPE_CHECKING = False  # typing takes longer to import than all else here
if TYPE_CHECKING:
    from typing import Any


def _watch() -> None:
    folder = os.environ.get("HARNESS_OUT")
    if not folder:
        return
    noted = os.open(
        os.path.join(os.path.dirname(folder), "opened"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
    )
    seen: set[str | bytes] = set()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open":
            return
        path, _, flags = (*arguments, None, None, None)[:3]
        if not isinstance(path, str | bytes) or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            return
        if path not in seen:
            seen.add(path)
            try:
                os.write(noted, os.fsencode(os.path.abspath(path)) + b"\0")
            except (OSError, ValueError):
                pass

    sys.addaudithook(note)


def _go_on() -> None:
    """Run the sitecustomize that this one stands before, if there is one."""
    own = os.path.dirname(os.path.abspath(__file__))
    others = [part for part in sys.path if os.path.abspath(part or ".") != own]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if found is not None and found.loader is not None:
        from importlib.util import module_from_spec  # only here, because it takes a while

        found.loader.exec_module(module_from_spec(found))


for step in (_watch, _go_on):
    try:
        step()
    except Exception:  # a program starts whatever becomes of this
        pass
