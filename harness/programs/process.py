"""One replica of a program as a process, behind the guard that ends all of it."""

from __future__ import annotations

import ast
import binascii
import marshal
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from harness.errors import HarnessError
from harness.programs.cards import VISIBLE
from harness.programs.folders import ReplicaFolder
from harness.programs.work import Work
from harness.records import Arm, Replica
from harness.records.program import Program, fill, write_parameter

GUARD = Path(__file__).with_name("guard.py")
WATCH = Path(__file__).with_name("watch")
LOG_BYTES = 2**20
"""Most bytes that are kept of a replica's output: its beginning and its end."""
GRACE_SECONDS = 5.0
"""Time that a guard has to end a program, of which the program may take some by stopping it."""
STEP_SECONDS = 0.1
PASSED = ("PATH", "HOME", "LANG", VISIBLE)

Kind = Literal["exit", "signal", "timeout", "size", "start", "lost"]


@dataclass(frozen=True)
class End:
    """End of a program, as its guard tells it."""

    kind: Kind
    """lost: the guard ended without a word."""
    code: int = 0
    said: str = ""


@dataclass
class Running:
    """A program under way."""

    process: subprocess.Popen[bytes]
    """Process of the program's guard."""
    life: int
    """Descriptor that keeps the guard, and the program, alive."""
    report: int
    """Descriptor of what the guard tells."""
    mark: str
    """Value of HARNESS_REPLICA in its environment, by which what is left of it is found."""
    latest: float
    """Time of the monotonic clock at which the program's time is up."""
    cards: tuple[str, ...] = ()
    """Cards that it has for itself."""
    told: bytearray = field(default_factory=bytearray)
    ended: bool = False
    """True if its guard was ended, because the program stopped it again and again."""

    def read(self) -> bool:
        """Take what the guard tells; tell whether more may come."""
        data = os.read(self.report, 4096)
        self.told += data
        return bool(data)

    @property
    def overdue(self) -> bool:
        """Tell whether its guard should have ended it by now."""
        return time.monotonic() > self.latest

    def urge(self, since: float) -> None:
        """Have the guard go on if the program stopped it; end it if it is still stopped a while after ``since``."""
        if time.monotonic() > since + GRACE_SECONDS and self.is_stopped():
            self.ended = True
            self.process.kill()
        with suppress(OSError):
            self.process.send_signal(signal.SIGCONT)  # which changes nothing of one that runs

    def is_stopped(self) -> bool:
        """Tell whether the guard is stopped, and not only slow; True where the system doesn't say it."""
        if not hasattr(os, "waitid"):
            return True
        with suppress(OSError):
            return os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def end(self) -> End:
        """End whatever still runs, wait for the guard, and return how the program ended."""
        for descriptor in (self.life, self.report):
            with suppress(OSError):
                os.close(descriptor)
        since = time.monotonic()
        while self.process.returncode is None:
            self.urge(since)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STEP_SECONDS)
        lines = bytes(self.told).decode(errors="replace").splitlines()
        last = next((line for line in lines if line.startswith("{")), None)
        if last is None:
            for line in lines:
                if line.startswith("pid "):
                    with suppress(OSError, ValueError):
                        os.killpg(int(line[4:]), signal.SIGKILL)
            end_marked(self.mark)
            return End("timeout" if self.ended and self.overdue else "lost")
        found = ast.literal_eval(last)
        return End(cast("Kind", found["end"]), int(found["code"]), str(found.get("said", "")))


def start(folder: ReplicaFolder, replica: Replica, arm: Arm, work: Work, cards: tuple[str, ...] = ()) -> Running:
    """Start a replica: the command with its placeholders filled, in its copy of the code, with cards of its own."""
    mark = f"{os.getpid()}-{folder.name}-{os.urandom(8).hex()}"
    life_end, life = os.pipe()
    report, report_end = os.pipe()
    told = {
        "command": fill_command(folder, replica, arm, work),
        "environment": make_environment(folder, replica, work, mark) | ({VISIBLE: ",".join(cards)} if cards else {}),
        "seconds": work.program.seconds,
        "bytes": work.program.bytes,
        "watched": str(folder.path),
        "log": str(folder.log),
        "kept": LOG_BYTES,
        "life": life_end,
        "report": report_end,
    }
    argument = binascii.b2a_base64(marshal.dumps(told), newline=False)
    place = str(folder.code / work.program.folder)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), place, argument],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(life_end, report_end),
            start_new_session=True,
        )
    except OSError as error:
        for descriptor in (life, report):
            os.close(descriptor)
        message = f"the system starts no more processes: {error.strerror or error}"
        raise HarnessError(message, where="program", remedy="run fewer at a time: --parallel 1") from error
    finally:
        os.close(life_end)
        os.close(report_end)
    return Running(process, life, report, mark, time.monotonic() + work.program.seconds, cards)


def fill_command(folder: ReplicaFolder, replica: Replica, arm: Arm, work: Work) -> tuple[str, ...]:
    """Return a replica's command."""
    values = {name: write_parameter(value) for name, value in (arm.parameters or {}).items()}
    values |= {f"input.{name}": os.path.abspath(path) for name, path in work.inputs.items()}  # noqa: PTH100
    values |= {
        "seed": str(replica.seed),
        "seed_index": str(replica.seed_index),
        "arm": replica.arm,
        "out": str(folder.results.absolute()),
        "resume": str(folder.kept.absolute()),
        "image": work.program.image or "",
    }
    return fill(work.program.command, values)


def show_command(program: Program, arm: Arm) -> tuple[str, ...]:
    """Return an arm's command with its parameters, and all other placeholders as they are."""
    own = {name: write_parameter(value) for name, value in (arm.parameters or {}).items()}
    return fill(program.command, {name: own.get(name, f"{{{name}}}") for name in program.list_placeholders()})


def has_command(program: Program, files: Container[str], path: str | None) -> bool:
    """Tell whether a command is on this machine, where ``path`` is searched, or among the files of the code."""
    name = program.command[0]
    if "{" in name:
        return True  # nobody knows before it is filled
    if "/" not in name:
        return shutil.which(name, path=path) is not None
    return Path(name).exists() if Path(name).is_absolute() else os.path.normpath(f"{program.folder}/{name}") in files


def make_environment(folder: ReplicaFolder, replica: Replica, work: Work, mark: str) -> dict[str, str]:
    """Return the variables that a replica is given, and no others."""
    names = (*PASSED, *work.program.environment)
    found = {name: work.environment[name] for name in names if name in work.environment}
    own = found.get("PYTHONPATH")
    return found | {
        "HARNESS_SEED": str(replica.seed),
        "HARNESS_OUT": str(folder.results.absolute()),
        "HARNESS_RESUME": str(folder.kept.absolute()),
        "HARNESS_REPLICA": mark,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(WATCH) if own is None else f"{WATCH}{os.pathsep}{own}",
    }


def end_marked(mark: str) -> None:
    """End every process of this user whose environment holds a mark, where the system shows environments."""
    wanted = f"HARNESS_REPLICA={mark}".encode()
    for _ in range(100):
        found = [number for number, environment in _list_environments().items() if wanted in environment.split(b"\0")]
        if not found:
            return
        for number in found:
            with suppress(OSError):
                os.kill(number, signal.SIGKILL)


def _list_environments() -> Mapping[int, bytes]:
    found = {}
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208
            if name.isdigit() and int(name) != os.getpid():
                with suppress(OSError):
                    found[int(name)] = Path("/proc", name, "environ").read_bytes()
    return found
