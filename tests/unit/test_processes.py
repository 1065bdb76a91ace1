"""The server that training processes come from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

CODE = """
import os, signal, time
from harness.processes import start_server
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"heard\\n"))  # print refuses amid another print
start_server()
time.sleep(0.7)  # the server is importing now
print("under way", flush=True)
time.sleep(1.5)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no such server on Windows")
def test_ctrl_c_while_it_imports_is_answered_by_the_parent_alone() -> None:
    """The signal reaches the whole group, and Python's answer to it during an import is a traceback."""
    running = subprocess.Popen(
        [sys.executable, "-c", CODE],
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "under way\n"
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 0
    assert "heard" in said and "Traceback" not in said
