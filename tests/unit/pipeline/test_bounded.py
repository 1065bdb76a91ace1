"""A computation in a process of its own ends with whoever asked for it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = """
import os, signal, sys, time
from pathlib import Path
from harness.pipeline.bounded import run_bounded
def compute():
    Path(sys.argv[1], "child").write_text(str(os.getpid()))
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
run_bounded(compute, str)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="computed in the same process elsewhere")
def test_it_ends_when_who_asked_is_killed(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], timeout=120, stdout=subprocess.DEVNULL)
    assert ran.returncode == -9
    child = Path("/proc", (tmp_path / "child").read_text(), "stat")
    last = time.monotonic() + 60
    while child.exists() and child.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < last
        time.sleep(0.02)
