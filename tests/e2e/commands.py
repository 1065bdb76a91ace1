"""The command line as a process of its own that need not wait for PyTorch.

Nearly all of a short command's time is the import of PyTorch and of harness, so one server per pytest process has
imported them and forks a process for each command: with its own folder, variables, streams and exit code. Tests about
how a process starts, or with variables that count from its start on, begin a fresh one.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

LARGE = ("torch", "numpy", "scipy.special", "pydantic", "typer", "rich.progress", "yaml", "jinja2.sandbox", "filelock")
ANEW = ("__main__", "cli.__main__", "training.steps.kernels.triton")
"""Parts of harness that are not imported for all commands: their beginning, and what only a card needs."""
LATER = ("HARNESS_", "GIT_", "PYTEST_")
"""Beginnings of variables that nothing reads before a command starts, and below them whole names."""
LATER_NAMES = {"COLUMNS", "LINES", "HOME", "XDG_CACHE_HOME", "NO_COLOR", "TERM", "OMP_NUM_THREADS"}


def run(
    arguments: tuple[str, ...], folder: Path, environment: dict[str, str], timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """``harness`` with these arguments, as ``subprocess.run`` would have it with text and captured output."""
    command = [sys.executable, "-m", "harness.cli", *arguments]
    if not hasattr(os, "fork") or not _only_later(environment):
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
    ours, theirs = zip(os.pipe(), os.pipe(), strict=True)
    server = _server()
    request = {"arguments": arguments, "folder": str(folder), "environment": environment}
    body = json.dumps(request).encode()
    socket.send_fds(server, [len(body).to_bytes(8, "big")], list(theirs))
    server.sendall(body)
    for descriptor in theirs:
        os.close(descriptor)
    pid = _number(server)
    try:
        out, err = _read_all(ours, timeout)
    except TimeoutError:
        os.kill(pid, 9)
        raise subprocess.TimeoutExpired(command, timeout) from None
    finally:
        code = _number(server)
        for descriptor in ours:
            os.close(descriptor)
    return subprocess.CompletedProcess(command, code, _text(out), _text(err))


def _only_later(environment: dict[str, str]) -> bool:
    names = {name for name in environment.keys() | os.environ.keys() if environment.get(name) != os.environ.get(name)}
    return all(name in LATER_NAMES or name.startswith(LATER) for name in names)


def _text(said: bytes) -> str:
    return said.decode().replace("\r\n", "\n").replace("\r", "\n")


def _read_all(descriptors: tuple[int, int], timeout: float) -> list[bytes]:
    """What comes through the pipes until nobody holds their other ends any more."""
    last = time.monotonic() + timeout
    found = {descriptor: bytearray() for descriptor in descriptors}
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, last - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if part := os.read(key.fd, 1 << 16):
                    found[key.fd] += part
                else:
                    selector.unregister(key.fd)
    return [bytes(said) for said in found.values()]


def _number(server: socket.socket) -> int:
    return int.from_bytes(_receive(server, 8), "big", signed=True)


def _receive(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = connection.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found


@cache
def _server() -> socket.socket:
    """The connection to this process's server, which ends with it."""
    ours, theirs = socket.socketpair()
    subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    return ours


def serve(connection: socket.socket) -> None:
    """Start what is asked for, one command after another, until nobody is there to ask."""
    for name in LARGE:
        importlib.import_module(name)
    _import_harness()
    _end_measuring()
    gc.freeze()
    while True:
        size, streams, _, _ = socket.recv_fds(connection, 8, 2)
        if not size:
            return
        size += _receive(connection, 8 - len(size))
        request = json.loads(_receive(connection, int.from_bytes(size, "big")))
        pid = os.fork()
        if not pid:
            connection.close()
            become(request, streams)
        for descriptor in streams:
            os.close(descriptor)
        connection.sendall(pid.to_bytes(8, "big", signed=True))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(code.to_bytes(8, "big", signed=True))


def _end_measuring() -> None:
    """Write down the coverage of the imports, once and not again with every command, which is measured on its own."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ and (measured := importlib.import_module("coverage").Coverage.current()):
        measured.stop()
        measured.save()


def _import_harness() -> None:
    import harness
    from harness.verdict.canvas import try_drawing

    anew = tuple(f"harness.{name}" for name in ANEW)
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if not module.name.startswith(anew):
            importlib.import_module(module.name)
    try_drawing()  # which loads matplotlib as harness does, whatever its settings are


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Be ``python -m harness.cli`` from here on."""
    null = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((null, *streams)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # what it was when PyTorch was loaded
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]  # as of python -m, and not of this script
    sys.argv = ["harness", *request["arguments"]]
    runpy.run_module("harness.cli", run_name="__main__", alter_sys=True)
    os._exit(70)  # it never gets here


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
