"""A command that lives no longer than whoever started it.

    python -m harness.system.tied COMMAND ARGUMENT…

Standard input tells: it is a pipe from the one who started it, and is at its end once that process is gone, even if it
was killed. Linux has a signal for this, which follows a thread and not a process; other systems have none.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence


def run_tied(command: Sequence[str]) -> int:
    """Run a command until it ends or standard input does; return its exit code, as a shell tells it.

    SIGTERM is passed on, so that the command can end in order.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    threading.Thread(target=_kill_at_the_end, args=(process,), daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


def _kill_at_the_end(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    process.kill()


if __name__ == "__main__":
    os._exit(run_tied(sys.argv[1:]))  # the thread waits on standard input to the end
