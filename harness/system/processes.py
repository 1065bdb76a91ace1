"""Start and end of processes: the server that forks training processes, and their reaction to signals and orphaning.

A signal from a terminal, Slurm, Docker or systemd reaches every process of a group. Only the process that the user
started responds to it; it tells the others what to do, and they end by themselves when it is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.system.variables import use_variables
from harness.system.without import do_without

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

END_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a program to end: Ctrl-C, kill and every supervisor, a closing terminal."""
PRELOADED = "harness.pipeline.preload"
"""Module that the server imports for all training processes. It is given by name, because imports go downward. A
missing module would go unnoticed, and every process would import PyTorch itself, so a test checks that it exists."""
START_SECONDS = 120.0  # seconds for the server to import PyTorch and start one process
POLL_SECONDS = 0.05  # between two looks at whether to stop


def start_server() -> Any:
    """Return the context that starts processes; calling it early lets its server import PyTorch in the meantime.

    Processes are forked by a server that has imported everything and computed nothing, because neither a card's driver
    nor PyTorch's threads survive a fork of a process that used them.
    """
    import multiprocessing  # imported here and below, because most commands start no process

    if os.name == "nt":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    # Neither the server nor the tracker may end by a signal to the group: without the server, nobody would wait for
    # the processes that it forked. Processes that are started now inherit the blocked signals. The tracker comes
    # first, because starting it unblocks SIGINT and SIGTERM again; it ignores these by itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        with _use_same_modules():
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def has_several_cores() -> bool:
    """Tell whether PyTorch, which need not be loaded yet, will probably train on several cores of this processor.

    It takes those that this process may use, or as many as the environment says.
    """
    named = os.environ.get("MKL_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > 1 and named.split(",")[0].strip() != "1"


@contextmanager
def _use_same_modules() -> Iterator[None]:
    """Make Python processes that start inside this context search for modules exactly where this process does.

    The server is started as ``python -c``, which would search the current folder first: a ``queue.py`` there, or
    another copy of this package, would train instead of the recorded code.
    """
    own = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(os.path.abspath(part) for part in sys.path)}  # noqa: PTH100
    with use_variables(own):
        yield


@contextmanager
def hide_main() -> Iterator[None]:
    """Keep processes that are started inside this context from running the program's main file first.

    Python would have them import it, for what they might find there. What they need is in harness's own modules, and a
    person's script that calls ``harness.api.run`` would train from its first line again in each of them.
    """
    from types import ModuleType

    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # it comes from no file
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def can_start(stop: Callable[[], bool] = lambda: False) -> bool:
    """Tell whether processes can be started here, by starting one; note once if they cannot.

    The server needs a socket in the folder for temporary files, whose path may be too long or whose file system may not
    support sockets; the system may also grant no more processes. ``stop`` is asked meanwhile; once it returns True, the
    trial is abandoned and the result is False.
    """
    trial = _Trial()
    # A thread waits for the server, which imports PyTorch first, because starting a process cannot be interrupted.
    thread = threading.Thread(target=trial.run, daemon=True)
    thread.start()
    last = time.monotonic() + START_SECONDS
    while thread.is_alive() and not stop() and time.monotonic() < last:
        thread.join(POLL_SECONDS)
    if thread.is_alive() and trial.process is not None:
        trial.process.kill()  # it may not respond to anything else
    why = trial.why
    if why is not None and not stop():
        do_without(f"processes can't be started here ({why}): cohorts are trained one after another, to the same bits")
    return why is None


class _Trial:
    """A process that starts and does nothing; ``why`` is the reason if it could not, None once it has ended well."""

    def __init__(self) -> None:
        self.why: str | None = "one did not answer"
        self.process: BaseProcess | None = None

    def run(self) -> None:
        try:
            process = start_server().Process(target=_do_nothing, daemon=True)
            with hide_main():
                process.start()
            self.process = process
            process.join()
        except (OSError, EOFError, ImportError) as error:
            self.why = f"{type(error).__name__}: {error}"
        else:
            self.why = f"one ended with exit code {process.exitcode}" if process.exitcode else None


def _do_nothing() -> None:
    pass


def leave_signals_to_parent() -> None:
    """Ignore the signals that ask a started process to end; its parent receives them too and gives the orders."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)


def end_with_parent() -> None:
    """End this process, which ``multiprocessing`` started, as soon as its parent is gone.

    The parent alone holds the other end of a pipe, which the system closes however the parent ends.
    """
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    assert parent is not None

    def watch(gone: int) -> None:
        wait([gone])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


class Descriptor:
    """An open file that a process receives with its arguments and holds as long as it lives, such as a lock."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing import reduction

        return _receive_descriptor, (reduction.DupFd(self.number),)


def _receive_descriptor(sent: Any) -> Descriptor:
    number = sent.detach()
    os.set_inheritable(number, False)  # processes that this one starts must not hold it
    return Descriptor(number)
