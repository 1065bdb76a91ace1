"""What a command says to a signal, whatever it is about when it comes."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import signal
import subprocess
import sys

import pytest

from harness.cli.run import reporting
from harness.cli.signals import signals


class Interrupted(io.RawIOBase):
    """A stream whose first bytes bring a Ctrl-C with them."""

    def __init__(self) -> None:
        super().__init__()
        self.text = b""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        first = not self.text
        self.text += bytes(data)
        if first:
            signal.raise_signal(signal.SIGINT)
        return len(data)


def test_a_signal_in_the_middle_of_a_line_is_answered_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffered stream refuses a second writer within the first one, which ended the run as a defect."""
    raw = Interrupted()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8"))
    with reporting() as reporter, contextlib.suppress(SystemExit), reporter.training():
        reporter.say("registered")
        assert reporter.stop()
    assert raw.text.decode().splitlines() == ["registered", "stopping with a checkpoint (again: at once)"]


def test_what_whoever_started_it_ignores_stays_ignored() -> None:
    """As nohup and scripts' background jobs have it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.listening():
            signal.raise_signal(signal.SIGHUP)
            assert not signals.asked()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_training_a_signal_ends_the_command_with_its_code() -> None:
    with pytest.raises(SystemExit) as ended, signals.listening():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_whose_answer_was_swallowed_is_answered_before_training() -> None:
    """Python drops what is raised in callbacks, such as those of garbage."""
    trained = []
    with signals.listening():
        with contextlib.suppress(SystemExit):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit) as ended, signals.gently(lambda: None):
            trained.append(True)
    assert ended.value.code == 130 and not trained


LOST = """
import ctypes, gc, os, signal, sys, time, weakref
from harness.cli.common import verb
from harness.cli.signals import signals

def strike(*_):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):  # Python answers between two of its steps
        pass

class Thing:
    pass

class Falling:
    def __del__(self):
        strike()

def destructor():
    Falling()

def reference():
    thing = Thing()
    kept = weakref.ref(thing, strike)
    del thing

def collection():
    gc.callbacks.append(strike)
    gc.collect()

def callback_of_c():
    ctypes.CFUNCTYPE(None)(strike)()

def careless():
    try:
        strike()
    except BaseException:
        pass

@verb
def work(where, waits):
    globals()[where]()
    gc.callbacks.clear()
    last = time.monotonic() + 60
    while waits and time.monotonic() < last:
        time.sleep(0.01)
    print("went on", flush=True)

with signals.listening():
    work(sys.argv[1], sys.argv[2] == "waits")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("where", "then"),
    [
        *itertools.product(("destructor", "reference", "collection", "callback_of_c"), ("waits", "ends")),
        ("careless", "ends"),  # nobody knows that somebody caught it
    ],
)
def test_a_signal_is_not_lost_where_python_drops_what_is_raised(where: str, then: str) -> None:
    """It ends the process a moment later, or else, where somebody caught it, with the verb."""
    ran = subprocess.run([sys.executable, "-c", LOST, where, then], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 143, ran.stderr
    assert ran.stderr == "interrupted\n"
    assert ("went on" in ran.stdout) <= (then == "ends")


def test_what_else_python_drops_is_told_as_before() -> None:
    told = []
    before = sys.unraisablehook
    sys.unraisablehook = told.append
    try:
        with signals.listening():
            Careless()
        assert [type(one.exc_value) for one in told] == [ValueError] and sys.unraisablehook == told.append
    finally:
        sys.unraisablehook = before


class Careless:
    """Its destructor fails."""

    def __del__(self) -> None:
        raise ValueError
