"""What a command says to a signal, whatever it is about when it comes."""

from __future__ import annotations

import contextlib
import io
import signal
import sys

import pytest

from harness.cli.run import reporting


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
