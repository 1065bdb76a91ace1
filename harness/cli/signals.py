"""Signals end a command: Ctrl-C, kill, a supervisor such as Slurm, or a terminal that closes sends them.

While it trains, the first signal is answered with a checkpoint. At any other time nothing would be lost, since whatever
was begun is durable or leaves nothing behind, and the command ends at once. The exit code is the signal's number + 128.

The command ends by an exception. Python drops exceptions that are raised in destructors, in callbacks of weak
references and in callbacks from C. A dropped one is raised again a moment later, or by ``heed`` between two stages.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from harness.system.processes import END_SIGNALS

AGAIN = 0.02
"""Seconds until an exception that Python dropped is raised again."""
SAME = 1.0
"""Seconds within which a repeated signal is the same request: timeout(1) signals a process, then its group."""


ALARM = getattr(signal, "SIGALRM", None)
"""Signal that wakes the process to raise the exception again; None on Windows, which has no such signal."""


class Ended(SystemExit):
    """Raised when a signal ends the command at once."""


class Signals:
    """Keeps the signals that came so far, and whether the first is answered with a checkpoint."""

    def __init__(self) -> None:
        self._listening = False
        self._gently: Callable[[], None] | None = None
        self._others = sys.unraisablehook
        self._forget()

    def _forget(self) -> None:
        self._number: int | None = None
        self._first = 0.0
        self._ended = False

    @property
    def code(self) -> int | None:
        """Exit code of a command that a signal ended; None if no signal came."""
        return None if self._number is None else 128 + self._number

    def asked(self) -> bool:
        """Tell whether a signal asked the command to end."""
        return self._number is not None

    def heed(self) -> None:
        """End the command if a signal asked for that and its exception was lost, unless a checkpoint answers it.

        Raises:
            Ended: a signal came.
        """
        if self.asked() and self._gently is None:
            raise self._end()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer signals inside the block, except those that the process was started to ignore, as under nohup."""
        if self._listening or threading.current_thread() is not threading.main_thread():  # others hear no signals
            yield
            return
        self._forget()
        heard = [number for number in END_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._hear) for number in heard}
        if ALARM is not None and signal.getsignal(ALARM) is signal.SIG_DFL:  # else somebody else uses it
            before[ALARM] = signal.signal(ALARM, self._raise_again)
        self._others, sys.unraisablehook = sys.unraisablehook, self._dropped
        self._listening = True
        try:
            yield
        finally:
            self._listening = False
            sys.unraisablehook = self._others
            self._set_alarm(0)
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def gently(self, told: Callable[[], None]) -> Iterator[None]:
        """Let the first signal inside the block only call ``told`` and make ``asked`` true.

        Whoever calls ``asked`` ends with a checkpoint.

        Raises:
            Ended: a signal came, and nobody had asked.
        """
        self._gently = told
        try:
            if not self.asked():  # by a signal whose Ended was dropped
                yield
        finally:
            self._gently = None
        if self.asked():
            raise self._end()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._number is None:
            self._number, self._first = number, now
            if self._gently is not None:
                self._gently()
                return
        elif now - self._first < SAME:
            return
        elif self._ended:  # and yet here it is: what tidies up takes too long
            os._exit(self.code or 1)
        raise self._end()

    def _end(self) -> Ended:
        self._ended = True
        self._set_alarm(0)
        return Ended(self.code)

    def _dropped(self, what: Any) -> None:
        """Handle an exception that Python drops and would print."""
        if issubclass(what.exc_type, Ended):
            self._set_alarm(AGAIN)
        else:
            self._others(what)

    def _raise_again(self, _number: int, _frame: FrameType | None) -> None:
        self.heed()

    def _set_alarm(self, seconds: float) -> None:
        if ALARM is not None and signal.getsignal(ALARM) == self._raise_again:
            signal.setitimer(signal.ITIMER_REAL, seconds)


signals = Signals()
