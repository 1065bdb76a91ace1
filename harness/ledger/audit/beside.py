"""Two things at the same time, in two processes that begin with the same memory."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from harness.system.processes import end_with_parent, leave_signals_to_parent

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

T = TypeVar("T")


@contextmanager
def run_beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Do ``work`` in a forked process while the block goes on; what the block is given waits for its result.

    Where there is nothing to fork with, no second core, or a thread that would not survive it, and whenever that
    process ends without a result, the work is done here and the result is the same. It must not calculate by PyTorch
    or NumPy, whose own threads do not survive a fork either.
    """
    started = _start_process(work) if _can_fork() else None
    if started is None:
        yield work
        return
    process, receiving = started

    def result() -> T:
        try:
            done: T = receiving.recv()
        except (EOFError, OSError):  # it ended before it sent anything, or while it did
            return work()
        return done

    try:
        yield result
    finally:
        receiving.close()
        process.kill()  # it has nothing to tidy up
        process.join()


def _can_fork() -> bool:
    from multiprocessing import current_process

    if current_process().daemon:  # it is itself beside another, and may start none
        return False
    # macOS's own libraries may not be used after a fork.
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


def _start_process(work: Callable[[], Any]) -> tuple[ForkProcess, Connection] | None:
    """Return the process at work and the pipe of its result; None if the system grants no process or pipe."""
    from multiprocessing import get_context  # here, because most audits are small

    context = get_context("fork")
    ends: tuple[Connection, ...] = ()
    try:
        ends = receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_send_result, args=(receiving, sending, work), daemon=True)
        process.start()
    except OSError:
        for end in ends:
            end.close()
        return None
    sending.close()
    return process, receiving


def _send_result(receiving: Connection, sending: Connection, work: Callable[[], Any]) -> None:
    receiving.close()  # or sending to a parent that is gone would wait for ever
    leave_signals_to_parent()
    end_with_parent()
    with suppress(BaseException):  # whatever stops it, whoever waits for it does the work again, and will say so
        sending.send(work())
