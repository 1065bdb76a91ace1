"""Building a site again whenever what it is made from has changed, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.site.sources import list_files, list_sources

SECONDS = 0.5
"""Seconds between two looks at the files."""
BUSY = 10
"""A look is followed by a pause of so many times its own duration, if that is longer."""

Stamp = frozenset[tuple[str, int, int, int, int]]
"""Path, inode, size, time of modification and time of change of every file."""


class Watcher:
    """Looks at the files that a site is made from, and has it built again.

    It is built by a process of its own: it may fork, which a process with threads must not, and whatever it holds of a
    large trail is gone afterwards.
    """

    def __init__(self, trail: Path, hypotheses: Path, arguments: Sequence[str]) -> None:
        """Watch what a site is made from; ``arguments``: those of the command line that builds it again."""
        self._trail, self._hypotheses, self._arguments = trail, hypotheses, arguments
        self._built = self._stamp()
        self._process: subprocess.Popen[str] | None = None
        self.problem: str | None = None
        """Message of the last building; None if all went well."""

    def wait(self) -> str | None:
        """Wait until the files were looked at once; return what a building said that has just failed."""
        begun = time.monotonic()
        now = self._stamp()
        time.sleep(max(SECONDS, BUSY * (time.monotonic() - begun)))
        if self._process is not None and self._process.poll() is None:
            return None
        told = self._end()
        if now != self._built and now == self._stamp():  # nobody is amid writing
            self._built = now
            self._process = self._start()
        return told

    def close(self) -> None:
        """End a building that is under way: the next one begins where it was."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "harness.cli", *self._arguments]
        # A session of its own: Ctrl-C is for the command that serves, which ends this one.
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def _end(self) -> str | None:
        if self._process is None:
            return None
        _, said = self._process.communicate()
        failed, self._process = self._process.returncode != 0, None
        self.problem = said.strip() or "it ended without a word" if failed else None
        return self.problem

    def _stamp(self) -> Stamp:
        found = set()
        for folder in list_sources(self._trail, self._hypotheses):
            for path in list_files(folder):
                try:
                    status = os.stat(path)  # noqa: PTH116
                except OSError:
                    continue
                found.add((path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        return frozenset(found)
