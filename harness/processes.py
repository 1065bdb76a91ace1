"""The server that training processes are forked from, which can start before anything else is loaded."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing import forkserver, resource_tracker
from typing import Any

from harness.without import do_without


def start_server() -> Any:
    """The context that processes start in; calling it early lets it import PyTorch while the caller does.

    A server that has imported everything and calculated nothing forks them: neither a card's driver nor PyTorch's
    threads survive a fork of a process that used them.
    """
    if os.name == "nt":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.engine.loop"])
    # A Ctrl-C reaches the whole group; while it imports, the server would answer with a traceback. The tracker comes
    # first, because starting it unblocks the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def can_start() -> bool:
    """Tell whether processes can be started here, by starting one. Where they cannot be, that is said once.

    The server needs a socket in the folder for temporary files, whose path may be too long for one or lie where there
    are none; the system may grant no more processes.
    """
    try:
        context = start_server()
        tried = context.Process(target=_nothing)
        tried.start()
        tried.join()
    except (OSError, EOFError, ImportError) as error:
        why = f"{type(error).__name__}: {error}"
    else:
        if tried.exitcode == 0:
            return True
        why = f"one ended with exit code {tried.exitcode}"
    do_without(f"processes can't be started here ({why}): cohorts are trained one after another, to the same bits")
    return False


def _nothing() -> None:
    pass
