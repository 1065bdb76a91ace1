"""What a command says to a signal, whatever it is about when it comes."""

from __future__ import annotations

import contextlib
import io
import signal
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
