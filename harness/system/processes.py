"""How processes begin and end: the server that training processes come from, and what they do about signals and death.

A signal that a terminal, Slurm, Docker or systemd sends reaches every process of a group. Only the one that was started
by a person answers it; the others are told by it what to do, and end by themselves when it is gone.
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

from harness.system.without import do_without

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What asks a program to end: Ctrl-C, kill and every supervisor, a terminal that closes."""
PRELOADED = "harness.pipeline.preload"
"""What training processes start with. A name, because imports go downward. Of one that is gone nobody would hear, and
every process would import PyTorch by itself, so a test looks for it."""
PATIENCE = 120.0  # seconds for the server to import PyTorch and to start one process
LOOK = 0.05  # seconds between looks at whether to stop


def start_server() -> Any:
    """Return the context that processes start in; calling it early lets it import PyTorch while the caller does.

    A server that has imported everything and calculated nothing forks them: neither a card's driver nor PyTorch's
    threads survive a fork of a process that used them.
    """
    import multiprocessing  # here and below, because most commands start no process

    if os.name == "nt":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    # Neither the server nor the tracker may end by a signal to the group: with the server, the processes that it
    # forked would lose who waits for them. What is blocked here stays blocked in whoever is started meanwhile. The
    # tracker comes first, because starting it unblocks SIGINT and SIGTERM again; it ignores these by itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with _the_same_modules():
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


@contextmanager
def _the_same_modules() -> Iterator[None]:
    """Have Python processes that start meanwhile look for modules where this one does, and nowhere else.

    A server is started as ``python -c``, which would look in the current folder first: a ``queue.py`` there, or another
    copy of this package, would train in place of what was recorded.
    """
    own = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(os.path.abspath(part) for part in sys.path)}  # noqa: PTH100
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def can_start(stop: Callable[[], bool] = lambda: False) -> bool:
    """Tell whether processes can be started here, by starting one. Where they cannot be, that is said once.

    The server needs a socket in the folder for temporary files, whose path may be too long for one or lie where there
    are none; the system may grant no more processes. ``stop`` is asked meanwhile: once it says so this is given up, and
    tells False.
    """
    tried = _Trial()
    # A thread waits for the server, which imports PyTorch first: to start a process can't be broken off.
    trying = threading.Thread(target=tried.run, daemon=True)
    trying.start()
    last = time.monotonic() + PATIENCE
    while trying.is_alive() and not stop() and time.monotonic() < last:
        trying.join(LOOK)
    if trying.is_alive() and tried.process is not None:
        tried.process.kill()  # it may not answer anything else
    why = tried.why
    if why is not None and not stop():
        do_without(f"processes can't be started here ({why}): cohorts are trained one after another, to the same bits")
    return why is None


class _Trial:
    """One process that is started and does nothing; ``why`` it could not be, None once it has ended well."""

    def __init__(self) -> None:
        self.why: str | None = "one did not answer"
        self.process: BaseProcess | None = None

    def run(self) -> None:
        try:
            process = start_server().Process(target=_nothing, daemon=True)
            process.start()
            self.process = process
            process.join()
        except (OSError, EOFError, ImportError) as error:
            self.why = f"{type(error).__name__}: {error}"
        else:
            self.why = f"one ended with exit code {process.exitcode}" if process.exitcode else None


def _nothing() -> None:
    pass


def leave_signals_to_parent() -> None:
    """Ignore what asks to end, in a started process: the parent hears it as well, and says what is to be done."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def end_with_parent() -> None:
    """From now on end this process, which ``multiprocessing`` started, at once when its parent is gone.

    The parent alone holds the other end of a pipe, which the system closes however it ends.
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
    """An open file that a process gets with its arguments, and holds as long as it lives: a lock on it, for one."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing import reduction

        return _received, (reduction.DupFd(self.number),)


def _received(sent: Any) -> Descriptor:
    number = sent.detach()
    os.set_inheritable(number, False)  # whatever this process starts must not hold it any longer
    return Descriptor(number)
