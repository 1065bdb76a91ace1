"""Processes of this machine, each on its own: they go on when the command that started them ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.errors import LaunchFailed
from harness.launchers import LOG, Job, Launcher, State
from harness.plugins.fields import Unit
from harness.system.storage import write_atomic

QUEUE = "queue.json"
"""File in a job's folder with its command, while it waits for a place."""
STARTED = "process.json"
"""File in a job's folder with its process."""


class Local(Launcher):
    """Starts each job as a process in a session of its own.

    ``harness run`` without ``--on`` is faster on one machine, because its processes share what they import. This one
    is for trying out what a cluster does, and for runs that are to outlive the terminal.

    Use:
        For long runs on a machine that one logs in to, and to try a file before a cluster trains it.

    Traps:
        Nothing starts the processes again when the machine does. Each job imports everything anew, and several that
        run at a time share one processor or card.
    """

    source: ClassVar[str] = "The operating system's processes."
    name: Literal["local"] = "local"
    at_most: Annotated[int, Unit("jobs")] = Field(default=1, ge=1, examples=[2])
    """Number of processes that run at a time."""

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Queue the jobs in their folders; the first of them start at once. A job is identified by its folder."""
        for job in jobs:
            (Path(job.folder) / STARTED).unlink(missing_ok=True)
            write_atomic(Path(job.folder) / QUEUE, json.dumps(job.command).encode())
        names = [job.folder for job in jobs]
        self._start_waiting(names)
        return names

    def find_alive(self, jobs: Collection[str]) -> Mapping[str, State]:
        """Tell which jobs wait or run; those that wait start as others end."""
        self._start_waiting(jobs)
        found: dict[str, State] = {}
        for job in jobs:
            if (Path(job) / QUEUE).exists():
                found[job] = "waiting"
            elif _find_process(job) is not None:
                found[job] = "running"
        return found

    def cancel(self, jobs: Collection[str]) -> None:
        """Take waiting jobs off the queue, and send SIGTERM to those that run."""
        for job in jobs:
            (Path(job) / QUEUE).unlink(missing_ok=True)
            if (process := _find_process(job)) is not None:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)

    def _start_waiting(self, jobs: Collection[str]) -> None:
        """Start as many waiting jobs as may run at a time, in the order given."""
        free = self.at_most - sum(_find_process(job) is not None for job in jobs)
        for job in [job for job in jobs if (Path(job) / QUEUE).exists()][: max(free, 0)]:
            _start(Path(job))


def _start(folder: Path) -> None:
    command = json.loads((folder / QUEUE).read_bytes())
    try:
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder
            )
    except OSError as error:
        raise LaunchFailed(f"{command[0]} can't be started: {error}", where=str(folder)) from error
    write_atomic(folder / STARTED, json.dumps([process.pid, _read_start(process.pid)]).encode())
    (folder / QUEUE).unlink()


def _find_process(job: str) -> int | None:
    """Return the number of a job's process; None if it has ended, or its number belongs to another one by now."""
    try:
        number, started = json.loads((Path(job) / STARTED).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    with suppress(ChildProcessError):  # no child of this process
        os.waitpid(number, os.WNOHANG)  # takes note of its end
    try:
        os.kill(number, 0)
    except (ProcessLookupError, PermissionError):
        return None
    return number if _read_start(number) == started else None


def _read_start(number: int) -> str | None:
    """Return when a process was started, in the system's own count; None where that can't be told."""
    if sys.platform != "linux":
        return None
    try:
        told = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return "ended"
    parts = told.rpartition(")")[2].split()
    return "ended" if parts[0] == "Z" else parts[19]


plugin = Local
