"""Two things at the same time, in two processes that begin with the same memory."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Does ``work`` in a forked process while the block goes on; what the block is given waits for its result.

    Where there is nothing to fork with, no second core, or a thread that would not survive it, and whenever that
    process ends without a result, the work is done here and the result is the same.
    """
    if not _possible():
        yield work
        return
    from multiprocessing import get_context  # here, because most audits are small

    context = get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sending, work), daemon=True)
    process.start()
    sending.close()

    def result() -> T:
        try:
            done: T = receiving.recv()
        except EOFError:
            return work()
        return done

    try:
        yield result
    finally:
        receiving.close()
        process.terminate()
        process.join()


def _possible() -> bool:
    # macOS's own libraries may not be used after a fork.
    return sys.platform == "linux" and (os.cpu_count() or 1) > 1 and threading.active_count() == 1


def _send(sending: Connection, work: Callable[[], Any]) -> None:
    with suppress(BaseException):  # whatever stops it, whoever waits for it does the work again, and will say so
        sending.send(work())
