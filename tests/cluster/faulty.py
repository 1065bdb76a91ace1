"""Python as a launcher starts it, with faults: the worker of a job is killed, stopped or held where a test says so.

Called as ``faulty.py FAULTS -P -m harness.cli worker FOLDER``. The file FAULTS has a line per start, which is used up:
nothing, or one of

    kill   SIGKILL to itself right after its first checkpoint
    term   SIGTERM to itself there, as Slurm sends it before a time limit
    hold   wait after its second one, when values were measured, until beside FAULTS there is a file JOB.go; that it
           waits, and after which epoch, a file JOB.reached tells
    die    SIGKILL before anything else
    broken fail by an error that nobody foresaw
    full   no file may have more than 150 bytes, as if the disk were nearly full
    other  train on with other vector instructions, as on another machine
    late   be gone before anything that it wrote is seen, as on a slow network file system
    cards  be told of a card that the other machines lack
"""

from __future__ import annotations

import fcntl
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HELD_SECONDS = 900.0
SAVED = {"hold": 2}
"""Fault → the checkpoint after which it strikes, if that isn't the first."""


def take_fault(faults: Path) -> str:
    """Take the first line off the file, which several workers may ask at a time."""
    if not faults.exists():
        return ""
    with faults.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        first, *rest = [*file.read().split("\n"), ""]
        file.seek(0)
        file.truncate()
        file.write("\n".join(rest).rstrip("\n"))
    return first


def strike_after_checkpoint(fault: str, folder: Path) -> None:
    from harness.training.checkpoint import CheckpointWriter

    if fault == "broken":

        def fail(*_: Any) -> None:
            raise RuntimeError("broken as was asked")

        CheckpointWriter.save = fail  # type: ignore[method-assign]
        return
    save = CheckpointWriter.save
    saved: list[bool] = []
    struck: list[bool] = []

    def save_and_strike(self: CheckpointWriter, *arguments: Any) -> None:
        save(self, *arguments)
        if struck:
            return
        saved.append(True)
        if len(saved) < SAVED.get(fault, 1):
            return
        struck.append(True)
        self.finish()
        if fault == "hold":
            go = faults.with_name(f"{folder.name}.go")
            told = faults.with_name(f"{folder.name}.reached")
            told.with_suffix(".new").write_text(str(arguments[0]))
            told.with_suffix(".new").replace(told)
            last = time.monotonic() + HELD_SECONDS
            while not go.exists():
                if time.monotonic() > last:  # the test that wanted it is gone
                    os._exit(1)
                time.sleep(0.05)
            go.unlink()
        else:
            os.kill(os.getpid(), {"kill": signal.SIGKILL, "term": signal.SIGTERM}[fault])

    CheckpointWriter.save = save_and_strike  # type: ignore[method-assign]


def train_out_of_sight(folder: Path) -> None:
    """Train in a copy of the folder, and end; what was written comes back a while later."""
    own = Path(tempfile.mkdtemp()) / folder.name
    shutil.copytree(folder, own)
    code = subprocess.call([sys.executable, "-P", "-m", "harness.cli", "worker", str(own)])
    if os.fork() == 0:
        os.setsid()
        time.sleep(1.5)
        for name in ("weights", "work"):
            shutil.copytree(own / name, folder / name)
        for name in ("ready.json", "progress.json", "ended.json"):
            shutil.copy(own / name, folder / name)
        shutil.rmtree(own.parent)
    os._exit(code)


faults, arguments = Path(sys.argv[1]), sys.argv[2:]
folder = Path(arguments[-1])
if not folder.name.startswith("device-"):  # whose job only tells of its device
    fault = take_fault(faults)
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))
    elif fault == "other":
        os.environ["ATEN_CPU_CAPABILITY"] = "default"
    elif fault == "late":
        train_out_of_sight(folder)
    elif fault == "cards":
        from harness.pipeline import device_facts

        cards = faults.with_name("cards")
        (cards / "0").mkdir(parents=True, exist_ok=True)
        (cards / "0/information").write_text("Model: \t\t Another Card\n")
        device_facts.CARDS = cards
    elif fault:
        strike_after_checkpoint(fault, folder)
sys.argv = ["harness", *arguments[3:]]
runpy.run_module("harness.cli", run_name="__main__")
