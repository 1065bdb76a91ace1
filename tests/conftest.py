"""What all tests share: one thread for PyTorch, bytecode that is kept, signals that are heard, CUDA tests that skip."""

from __future__ import annotations

import os
import signal
import sys

import pytest

# Set before anything imports PyTorch, and for every process that a test starts. harness trains in as many processes as
# PyTorch has threads, so a test that wants several asks for them; and threads of several pytest workers would wait for
# one another.
os.environ["OMP_NUM_THREADS"] = "1"

# Some hundred processes import harness, and several collect the tests: where a container's settings keep bytecode from
# being written, each of them would compile all of it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that starts something in the background, nohup and some CI servers have it ignore these signals, and so would
# every command that a test starts and then signals.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip ``gpu`` tests, with the reason, on a machine without a CUDA device."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and there is none here"))
