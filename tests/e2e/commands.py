"""The command line as a process of its own that need not wait for PyTorch.

Nearly all of a short command's time is the import of PyTorch and of harness, so one server per pytest process has
imported them and forks a process for each command: with its own folder, variables, streams and exit code. Where another
harness or other packages are to be found first, a second server forks it, which has imported neither; tests that give
many commands with the same packages ask for a server that has imported harness with them. Tests about how a process
starts, or with variables that count from its start on, begin a fresh one.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TextIO

LARGE = ("torch", "numpy", "scipy.special", "pydantic", "typer", "rich.progress", "yaml", "jinja2.sandbox", "filelock")
ANEW = ("__main__", "cli.__main__", "training.steps.kernels.triton")
"""Parts of harness that are not imported for all commands: their beginning, and what only a card needs."""
LATER = ("HARNESS_", "GIT_", "PYTEST_", "SLURM_")
"""Beginnings of variables that nothing reads before a command starts, and below them whole names."""
LATER_NAMES = {
    *("NO_PROXY", "no_proxy", "COLUMNS", "LINES", "HOME", "XDG_CACHE_HOME", "NO_COLOR", "TERM", "OMP_NUM_THREADS"),
    *("PATH", "PWD", "OLDPWD", "SHLVL", "PS1", "_"),  # of shells
    *("FOLDER", "STRICT", "BASE"),  # of steps of workflows
}
PLACES = ("PYTHONPATH", "PYTHONSAFEPATH")
"""Variables that count once harness is imported, if they don't lead to another of the libraries."""
CUSTOM = ("sitecustomize", "usercustomize")  # what Python itself imports as it starts
DRAWING = ("matplotlib.figure", "matplotlib.style", "matplotlib.backends.backend_svg")
"""Libraries of figures, which tests put something in the place of."""
WHOLE, LIBRARIES, UNDRAWN = "whole", "libraries", "undrawn"
OF_FILES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which permissions do not bind root, whom containers have."""
NOT_BOUND = 71
"""Exit code of a command that may not give up what it may."""
ASKING = Path(__file__).with_name("asking.py")
LOCK = threading.Lock()  # one question to the server at a time


PATIENCE = 600.0
"""Seconds after which a test gives up on a process that ought to have ended. None asserts how long anything takes."""
PIPE, NULL = subprocess.PIPE, subprocess.DEVNULL
STARTED_WITH = dict(os.environ)
"""This process's variables, as they were before a run inside it could change them while its processes start."""
RUNNING = 1 << 16
"""The server's answer in place of an exit code while a command has none."""


class Server(NamedTuple):
    """A server, by what tells it from others."""

    kind: str
    variables: tuple[tuple[str, str], ...] = ()
    inherits: bool = True
    """True if it has this process's other variables, too; else those alone that nothing reads before a command."""
    python: str = sys.executable


class Forked:
    """A command that the server forked, to be used as ``subprocess.Popen`` is; its stdin is empty."""

    def __init__(self, server: Server, request: dict[str, Any], stdout: int, stderr: int) -> None:
        self.server = server
        self.args = [sys.executable, "-m", "harness.cli", *request["arguments"]]
        self.returncode: int | None = None
        null = os.open(os.devnull, os.O_RDWR)
        near, far, own = [], [null], [null]
        for wanted in (stdout, stderr):
            ours, theirs = os.pipe() if wanted == PIPE else (None, null if wanted == NULL else wanted)
            near.append(None if ours is None else os.fdopen(ours, encoding="utf-8"))
            far.append(theirs)
            own += [] if ours is None else [theirs]
        self.stdout, self.stderr = near
        self.pid = _ask(server, request, far)
        for descriptor in own:
            os.close(descriptor)

    def poll(self) -> int | None:
        """Return the exit code; None while there is none."""
        if self.returncode is None and (code := _ask(self.server, {"wait": self.pid})) != RUNNING:
            self.returncode = code
        return self.returncode

    def wait(self, timeout: float = PATIENCE) -> int:
        """Return the exit code once there is one."""
        last = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > last:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.001)
        return code

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, str]:
        """Return what it still says on both streams, and end it if nobody has closed them after so many seconds."""
        said = {stream: "" for stream in (self.stdout, self.stderr) if stream is not None}

        def read(stream: TextIO) -> None:
            with stream:
                said[stream] = stream.read()

        readers = [threading.Thread(target=read, args=[stream], daemon=True) for stream in said]
        last = time.monotonic() + timeout
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(max(0.0, last - time.monotonic()))
        if any(reader.is_alive() for reader in readers):
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(max(1.0, last - time.monotonic()))
        out, err = ("" if stream is None else said[stream] for stream in (self.stdout, self.stderr))
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def start(
    arguments: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    stdout: int = PIPE,
    stderr: int = PIPE,
    start_new_session: bool = False,
    memory: int | None = None,
    packages: str | None = None,
    bound: bool = False,
    python: Path | None = None,
    kept: bool = False,
) -> Forked | subprocess.Popen[str]:
    """``harness`` with these arguments, as ``subprocess.Popen`` would start it with text.

    ``memory``: as many bytes it may address. ``packages``: PYTHONPATH of a server of its own, which stays. ``bound``:
    permissions bind it, even where root starts it. ``python``: the interpreter of a server of its own, which stays.
    ``kept``: variables that count from its start on are those of a server of its own, which stays.
    """
    server: Server | None
    if packages is not None:
        environment = environment | {"PYTHONPATH": packages}
        server = Server(WHOLE, (("PYTHONPATH", packages),))
    elif python is not None or kept:
        own = ((name, value) for name, value in environment.items() if not _is_read_later(name))
        server = Server(WHOLE, tuple(sorted(own)), inherits=False, python=str(python or sys.executable))
    else:
        server = _find_server(environment)
    if server is None:
        assert not bound, "only what a server forks can be bound"
        command = [sys.executable, "-m", "harness.cli", *arguments]
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=NULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=start_new_session,
            preexec_fn=None if memory is None else partial(_limit, memory),
        )
    request = {
        "arguments": arguments,
        "folder": str(folder),
        "environment": environment,
        "session": start_new_session,
        "memory": memory,
        "bound": bound,
    }
    return Forked(server, request, stdout, stderr)


def _limit(memory: int | None) -> None:
    """Let this process address so many bytes at most."""
    if memory is not None:
        resource = importlib.import_module("resource")  # which only POSIX has
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _bind() -> None:
    """Have permissions bind this process and all that it starts, as they do not bind root; end it if they can't."""
    if os.geteuid():
        return
    ctypes = importlib.import_module("ctypes")
    system = ctypes.CDLL(None)
    for capability in OF_FILES:
        if system.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP: of what root gets back with another program
            os._exit(NOT_BOUND)
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3 of capset(2), this process
    refused = system.capget(header, held)
    for kind in range(3):  # effective, permitted and inheritable, of which the first 32 come first
        held[kind] &= ~sum(1 << capability for capability in OF_FILES)
    if refused or system.capset(header, held):
        os._exit(NOT_BOUND)


def run(
    arguments: tuple[str, ...], folder: Path, environment: dict[str, str], timeout: float = PATIENCE, **options: Any
) -> subprocess.CompletedProcess[str]:
    """``harness`` with these arguments, as ``subprocess.run`` would have it with text and captured output.

    ``options``: those of ``start``.
    """
    process = start(arguments, folder, environment, **options)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def load(module: str) -> None:
    """Have the server load what several commands to come would each load for themselves."""
    _ask(Server(WHOLE), {"load": module})


@contextmanager
def offer(folder: Path) -> Iterator[Path]:
    """A program ``harness`` in a folder, for shells to find meanwhile: its commands are started as ``start`` does."""
    folder.mkdir(exist_ok=True)
    program = folder / "harness"
    with TemporaryDirectory() as near, socket.socket(socket.AF_UNIX) as asked, ThreadPoolExecutor() as pool:
        asked.bind(f"{near}/asked")  # a name that is short enough for a socket
        asked.listen()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{ASKING}" "{near}/asked" "$@"\n')
        program.chmod(0o755)
        pool.submit(_answer_all, asked, pool)
        try:
            yield program
        finally:
            program.unlink()
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(f"{near}/asked")  # and asks for nothing


def _answer_all(asked: socket.socket, pool: ThreadPoolExecutor) -> None:
    while True:
        asking, _ = asked.accept()
        size, streams, _, _ = socket.recv_fds(asking, 8, 2)
        if not size:
            return
        pool.submit(_answer, asking, size, streams)


def _answer(asking: socket.socket, size: bytes, streams: list[int]) -> None:
    """Start what is asked for, and answer with its exit code."""
    with asking:
        size += _receive(asking, 8 - len(size))
        arguments, folder, environment = json.loads(_receive(asking, int.from_bytes(size, "big")))
        process = start(tuple(arguments), Path(folder), environment, stdout=streams[0], stderr=streams[1])
        for stream in streams:
            os.close(stream)
        while (code := process.poll()) is None:
            time.sleep(0.005)
        asking.sendall(code.to_bytes(8, "big", signed=True))


def _is_read_later(name: str) -> bool:
    """Tell whether nothing reads this variable before a command starts."""
    return name in LATER_NAMES or name.startswith(LATER)


def _find_server(environment: dict[str, str]) -> Server | None:
    """The server that can fork a command with these variables; None: it has to be a fresh process."""
    names = {name for name in environment.keys() | os.environ.keys() if environment.get(name) != os.environ.get(name)}
    rest = {name for name in names if not _is_read_later(name)}
    if not hasattr(os, "fork") or not rest <= {*PLACES}:
        return None
    if not rest:
        return Server(WHOLE)
    new = [Path(path) for path in _split(environment.get("PYTHONPATH")) if path not in sys.path]
    names = {file.name.split(".")[0] for path in new if path.is_dir() for file in path.iterdir()} - {"harness"}
    if names & {*CUSTOM}:
        return None
    # What stands in for a library has to be there before that is loaded.
    kind = UNDRAWN if names & {name.split(".")[0] for name in DRAWING} else LIBRARIES
    server = Server(kind, (("PYTHONPATH", ""),))
    return None if _ask(server, {"loaded": sorted(names)}) else server


def _split(path: str | None) -> list[str]:
    return [part for part in (path or "").split(os.pathsep) if part]


def _ask(asked: Server, request: dict[str, Any], streams: list[int] | None = None) -> int:
    """The server's answer, a number: of a process that it started with these streams, or an exit code."""
    server = _connect(asked)
    body = json.dumps(request).encode()
    with LOCK:
        socket.send_fds(server, [len(body).to_bytes(8, "big")], streams or [])
        server.sendall(body)
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
def _connect(server: Server) -> socket.socket:
    """The connection to this process's server of a description, which ends with it."""
    ours, theirs = socket.socketpair()
    command = [server.python, __file__, server.kind, str(theirs.fileno())]
    given = {name: value for name, value in STARTED_WITH.items() if server.inherits or _is_read_later(name)}
    environment = given | dict(server.variables)
    subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
    theirs.close()
    return ours


def serve(kind: str, connection: socket.socket) -> None:
    """Start what is asked for, one command after another, until nobody is there to ask."""
    for name in (*LARGE, *(() if kind == UNDRAWN else DRAWING)):
        importlib.import_module(name)
    if kind == WHOLE:
        _import_harness()
    _leave_libraries()
    _end_measuring()
    gc.freeze()
    while True:
        size, streams, _, _ = socket.recv_fds(connection, 8, 3)
        if not size:
            return
        size += _receive(connection, 8 - len(size))
        request = json.loads(_receive(connection, int.from_bytes(size, "big")))
        if "wait" in request:
            pid, status = os.waitpid(request["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else RUNNING
        elif "loaded" in request:
            answer = len(sys.modules.keys() & {*request["loaded"]})
        elif "load" in request:
            importlib.import_module(request["load"])
            gc.freeze()
            answer = 0
        else:
            answer = os.fork()
            if not answer:
                connection.close()
                become(request, streams)
        for descriptor in streams:
            os.close(descriptor)
        connection.sendall(answer.to_bytes(8, "big", signed=True))


def _leave_libraries() -> None:
    """Have no command take back, as it ends, what PyTorch has registered as it was loaded.

    It would be done 134 times, each time by writing to memory that the process shares with this one: as much work as
    all else that a short command does.
    """
    for registered in list(weakref.finalize._registry):
        if (alive := registered.peek()) is not None and alive[1].__module__ == "torch.library":
            registered.atexit = False


def _end_measuring() -> None:
    """Write down the coverage of the imports, once and not again with every command, which is measured on its own."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ and (measured := importlib.import_module("coverage").Coverage.current()):
        measured.stop()
        measured.save()


def _import_harness() -> None:
    import harness
    from harness.ledger.code import digest_package
    from harness.plugins.distributions import describe_packages, list_modules
    from harness.verdict.canvas import try_drawing

    anew = tuple(f"harness.{name}" for name in ANEW)
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if not module.name.startswith(anew):
            importlib.import_module(module.name)
    _build_validators(importlib.import_module("pydantic").BaseModel)
    try_drawing()  # which loads matplotlib as harness does, whatever its settings are
    describe_packages(list_modules())  # reads of all installed packages what they hold, and those that are loaded
    digest_package()


def _build_validators(record: Any) -> None:
    """Build what checks records of harness, which each command would do for itself when it first needs it."""
    for kind in record.__subclasses__():
        if kind.__module__.startswith("harness.") and not kind.__pydantic_complete__:
            kind.model_rebuild()
        _build_validators(kind)


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Be ``python -m harness.cli`` from here on."""
    _limit(request["memory"])
    if request["bound"]:
        _bind()
    if request["session"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for descriptor in streams:
        os.close(descriptor)
    before = _split(os.environ.get("PYTHONPATH"))
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # what it was when PyTorch was loaded
    os.chdir(request["folder"])
    sys.path[: 1 + len(before)] = [request["folder"], *_split(os.environ.get("PYTHONPATH"))]  # as python -m has it
    if "PYTHONSAFEPATH" in os.environ:
        del sys.path[0]
    sys.argv = ["harness", *request["arguments"]]
    runpy.run_module("harness.cli", run_name="__main__", alter_sys=True)
    os._exit(70)  # it never gets here


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
