"""The process between harness and a program: it starts one replica, keeps its output, and ends all of it.

It is started as a script without site packages, because every replica has one, and it imports little more than what
Python has loaded or built in: json, contextlib, signal and ctypes would take more than twice as long as all the rest.
It ends the program if that takes too long or writes too much, and if harness ends, however that happens: harness alone
holds the other end of ``life``. What the program leaves running, in whatever group or session, is ended too: on Linux,
orphans come to this process.

Arguments: the folder that the program runs in, which lists of processes then show, and a dictionary by marshal in
base64. command, environment: as the program gets them; seconds, bytes: its limits; watched: the folder whose size
counts; log, kept: the file for its output, and the most bytes of it; life, report: descriptors.

On ``report`` it writes a line ``pid N`` and one with a dictionary as Python writes it: end ("exit", "signal",
"timeout", "size", "start"), code, left (whether processes were left), written (bytes of output).
"""

from __future__ import annotations

import binascii
import marshal
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False  # typing takes longer to import than all else here
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    try:
        import _signal as signal  # what signal has, without its enumerations
    except ImportError:
        import signal


LOOK_SECONDS = 0.25
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h


class suppress:  # noqa: N801
    """A context that swallows some errors, as contextlib has one, without its imports."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self.kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self.kinds)


def main() -> None:
    """Run a program as told, and tell how it ended."""
    told = marshal.loads(binascii.a2b_base64(sys.argv[2])) | {"folder": sys.argv[1]}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _adopt_orphans()
    output, given = os.pipe()
    failed, failing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(told, given, failing)
    os.close(given)
    os.close(failing)
    log = Log(told["log"], told["kept"])
    end = None
    try:
        _report(told, b"pid %d\n" % pid)
        end = _watch(pid, told, output, log)
    finally:
        left = _end_all(pid)
    log.take_rest(output)
    with suppress(OSError):  # the end is told whatever the program made of the log's place
        log.close()
    refused = os.read(failed, 1000)
    if refused:
        end = {"end": "start", "code": 127, "said": refused.decode(errors="replace")}
    if end is not None:
        end |= {"left": left, "written": log.written}
        _report(told, repr(end).encode() + b"\n")


def _report(told: dict[str, Any], line: bytes) -> None:
    """Tell harness something, if it is still there."""
    with suppress(OSError):
        os.write(told["report"], line)


def _adopt_orphans() -> None:
    """Become the parent of what descendants leave behind, where the system knows that."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError, ImportError):
            try:
                import _ctypes  # what ctypes is made of

                own = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # this process itself
                _ctypes.call_function(_ctypes.dlsym(own, "prctl"), (SUBREAPER, 1, 0, 0, 0))
            except AttributeError:
                import ctypes

                ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def _become(told: dict[str, Any], output: int, failing: int) -> None:
    """Become the program: its own session, no terminal, no descriptor of ours."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2), (failing, 3)):
            os.dup2(source, target, inheritable=target != 3)
        os.closerange(4, 256)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit(resource.RLIMIT_FSIZE, told["bytes"])
        os.chdir(told["folder"])
        os.execvpe(told["command"][0], told["command"], told["environment"])
    except BaseException as error:
        with suppress(OSError):
            os.write(3, f"{type(error).__name__}: {error}".encode())
    os._exit(127)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(what, (most, most))


def _watch(pid: int, told: dict[str, Any], output: int, log: Log) -> dict[str, Any] | None:
    """Wait for the program's end, or bring it about; return how it ended, None if nobody wants to know any more."""
    end_at = time.monotonic() + told["seconds"]
    next_look = time.monotonic() + LOOK_SECONDS
    sources = [told["life"], output]
    wake, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if _measure(told["watched"]) >= told["bytes"]:  # also where a write beyond the limit was refused
                return {"end": "size", "code": 0}
            if os.WIFSIGNALED(status):
                return {"end": "signal", "code": os.WTERMSIG(status)}
            return {"end": "exit", "code": os.WEXITSTATUS(status)}
        now = time.monotonic()
        if now >= end_at:
            return {"end": "timeout", "code": 0}
        if now >= next_look:
            if _measure(told["watched"]) > told["bytes"]:
                return {"end": "size", "code": 0}
            # A folder of many files takes a while to look at: never more than a tenth of the time.
            next_look = time.monotonic() + max(LOOK_SECONDS, 10 * (time.monotonic() - now))
        pause = max(0.0, min(end_at, next_look) - time.monotonic())
        ready, _, _ = select.select([*sources, wake], [], [], pause)
        if told["life"] in ready:
            return None
        if wake in ready:
            os.read(wake, 4096)
        if output in ready and not log.take(output):
            sources.remove(output)  # the program closed it and goes on


def _measure(folder: str) -> int:
    """Return the size of all files below a folder, in bytes."""
    total, waiting = 0, [folder]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def _end_all(pid: int) -> bool:
    """End the program's group and whatever else came from it; tell whether anything was left to end."""
    left = False
    for _ in range(1000):
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        for other in _list_descendants():
            left = left or other != pid
            with suppress(OSError):
                os.kill(other, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return left
        time.sleep(0.005)
    return left


def _list_descendants() -> list[int]:
    """Return the numbers of all processes that come from this one, as far as the system shows them."""
    found, waiting = [], [os.getpid()]
    while waiting:
        below = _list_children(waiting.pop())
        found += below
        waiting += below
    return found


def _list_children(number: int) -> list[int]:
    """Return the processes whose parent is one, of which every thread has its own."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{number}/task"):
            with open(f"/proc/{number}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    except (OSError, ValueError):
        return children if os.path.exists(f"/proc/self/task/{os.getpid()}/children") else _search_children(number)
    return children


def _search_children(number: int) -> list[int]:
    """Return the same on a system that doesn't list children."""
    children = []
    with suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                if fields[0] != b"Z" and int(fields[1]) == number:
                    children.append(int(name))
    return children


class Log:
    """The beginning and the end of a program's output, in one file of a bounded size."""

    def __init__(self, path: str, kept: int) -> None:
        self.written = 0
        self._path, self._half = path, kept // 2
        self._first, self._last = bytearray(), bytearray()

    def take(self, output: int) -> bool:
        """Take what there is to read; tell whether more may come."""
        try:
            data = os.read(output, 65536)
        except BlockingIOError:
            return True
        self.written += len(data)
        room = self._half - len(self._first)
        self._first += data[:room]
        self._last += data[room:] if room < len(data) else b""
        if len(self._last) > 2 * self._half:
            del self._last[: len(self._last) - self._half]
        return bool(data)

    def take_rest(self, output: int) -> None:
        """Take what is still in the pipe, without waiting for more."""
        os.set_blocking(output, False)
        before = -1
        while before != self.written:
            before = self.written
            self.take(output)

    def close(self) -> None:
        """Write the file anew, and through no link that the program put there."""
        last = bytes(self._last[-self._half :]) if self._half else b""
        dropped = self.written - len(self._first) - len(last)
        gap = b"\n[%d bytes left out]\n" % dropped if dropped else b""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "wb") as file:
            file.write(bytes(self._first) + gap + last)


if __name__ == "__main__":
    main()
