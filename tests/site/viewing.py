"""``harness view`` as a process of its own, asked over real sockets."""

from __future__ import annotations

import http.client
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.errors import Interrupted
from harness.pipeline.session import Reporter
from tests.e2e.projects import TINY, Project, make_project, run_file

LOOKS = 2400  # every 0.05 s


@dataclass
class View:
    """A running view."""

    project: Project
    process: Any
    url: str

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {key.lower(): one for key, one in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    def page(self, path: str) -> str:
        return self.get(path)[2]

    def say(self, request: bytes) -> bytes:
        """Send bytes as they are, and return everything that is answered until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def wait_for(self, path: str, holds: Callable[[str], bool]) -> str:
        """Return a page once it says what is waited for."""
        return wait_for(lambda: text if holds(text := self.page(path)) else None)


def wait_for(find: Callable[[], Any]) -> Any:
    """Return what is found, once there is something."""
    for _ in range(LOOKS):
        if found := find():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")


@contextmanager
def open_view(project: Project, *options: str) -> Iterator[View]:
    """Start ``harness view`` on a free port, and end it."""
    process = project.start("view", "--port", "0", *options)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", line), line or process.communicate()
        yield View(project, process, line.strip())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=240)


def make_stopped(root: Path, tiny: str = TINY) -> Project:
    """Make a project with an attempt that was stopped after its first values were measured."""
    project = make_project(root, tiny)
    stop_first(project)
    return project


def stop_first(project: Project, reporter: Reporter | None = None) -> None:
    """Start the project's run in this process, and stop it: by default after the first values."""
    seen: list[int] = []
    early = Reporter(progress=lambda at: seen.append(at.epoch), stop=lambda: bool(seen) and max(seen) >= 2)
    with pytest.raises(Interrupted):
        run_file(project.root / "hypotheses/tiny.yaml", reporter or early)


@contextmanager
def running(root: Path) -> Iterator[Project]:
    """Make a project with a run that trains until it is ended."""
    project = make_project(
        root, TINY.replace("epochs: 8", "epochs: 100000").replace("every_epochs: 2", "every_epochs: 50")
    )
    process = project.start_until("cohort 1/", "run", "hypotheses/tiny.yaml", "--device", "cpu")
    try:
        yield project
    finally:
        process.kill()
        process.communicate(timeout=240)
        shutil.rmtree(root, ignore_errors=True)
