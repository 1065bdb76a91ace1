"""A computation on what somebody else wrote, in a process of its own that may not run or grow for ever."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from harness.errors import HarnessError
from harness.system.processes import end_with_parent, leave_signals_to_parent

SECONDS = 120.0
MEMORY = 4 * 2**30
"""Bytes that it may take beyond what this process has."""

Result = TypeVar("Result")


def run_bounded(compute: Callable[[], Result], said: Callable[[Exception], str]) -> Result:
    """Return the result of ``compute``, which must survive pickling.

    Elsewhere than on Linux it is computed here, unbounded.

    Raises:
        HarnessError: it failed, with the words that ``said`` has for its error, or it took too long or too much memory.
    """
    if sys.platform != "linux":
        return compute()
    fork = multiprocessing.get_context("fork")  # starts at once, with what this process has loaded
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_child, args=(compute, said, sender), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(SECONDS):
            raise HarnessError(f"it was stopped after {SECONDS:g} s", remedy="look at its template and its results")
        failed, value = receiver.recv()
    except EOFError:
        raise HarnessError("it was killed, or took too much memory") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if failed is not None:
        raise HarnessError(failed)
    return value  # type: ignore[no-any-return]


def _child(compute: Callable[[], object], said: Callable[[Exception], str], sender: Connection) -> None:
    import resource  # not on Windows

    leave_signals_to_parent()
    end_with_parent()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limits = [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
    most = min([pages * resource.getpagesize() + MEMORY, *limits])  # a limit that was set here already stays
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        sender.send((None, compute()))
    except Exception as error:
        sender.send((said(error), None))
