"""The server that training processes are forked from, which can start before anything else is loaded."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing import forkserver, resource_tracker
from typing import Any


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
