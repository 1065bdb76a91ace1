"""The server that training processes are forked from, which can start before anything else is loaded."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
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
    forkserver.ensure_running()
    return context
