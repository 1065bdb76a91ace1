"""A reader that goes away, as ``head`` does, ends a command without a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import commands

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "arguments", [["check", "--format", "json"], ["reverdict", "bp-penalty-control"], ["explain", "dfa"]]
)
def test_a_closed_pipe_is_no_traceback(arguments: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    running = commands.start(tuple(arguments), REPOSITORY, environment)
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait() == 1
    assert "BrokenPipeError" not in said and "Traceback" not in said


@pytest.mark.skipif(os.name == "nt", reason="closes a stream as a POSIX shell does")
@pytest.mark.parametrize(
    ("closed", "arguments", "code"), [("2", "list", 0), ("1", "list", 0), ("2", "run nonesuch", 2)]
)
def test_a_closed_stream_changes_no_exit_code(closed: str, arguments: str, code: int) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m harness.cli {arguments} {closed}>&-"
    assert subprocess.run(["sh", "-c", command], cwd=REPOSITORY, capture_output=True).returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_fills_the_disk_says_so(unbuffered: str) -> None:
    """Whether it is noticed with the first line or, as by default, when all is written at once."""
    command = f"exec {shlex.quote(sys.executable)} -m harness.cli list > /dev/full"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(["sh", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, env=environment)
    assert ended.returncode == 1
    assert "no space left on the disk" in ended.stderr and "defect" not in ended.stderr
