"""The server that training processes come from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

from harness.system.processes import PRELOADED

CODE = """
import os, signal, time
from multiprocessing import forkserver, resource_tracker
from harness.system.processes import END_SIGNALS, start_server
told = []
def answer(*_):
    os.write(1, b"heard\\n")  # print refuses amid another print
    told.append(True)
for number in END_SIGNALS:
    signal.signal(number, answer)
start_server()
time.sleep(0.7)  # the server is importing now
print("under way", flush=True)
while not told:
    time.sleep(0.01)
time.sleep(1)  # whoever does not ignore the signal has ended by now
for pid in (forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid):
    print("alive" if os.waitpid(pid, os.WNOHANG) == (0, 0) else "ended", flush=True)
"""


def test_what_processes_start_with_is_there() -> None:
    """The server passes over a module that it does not find."""
    assert find_spec(PRELOADED) is not None


@pytest.mark.skipif(os.name == "nt", reason="there is no such server on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_imports_is_answered_by_the_parent_alone(number: int) -> None:
    """The signal reaches the whole group. Python's answer to a Ctrl-C during an import is a traceback, and the others
    would end the server, and with it all that it forked."""
    running = subprocess.Popen(
        [sys.executable, "-c", CODE],
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "under way\n"
    os.killpg(running.pid, number)
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 0
    assert said.split() == ["heard", "alive", "alive"]
