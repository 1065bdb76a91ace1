"""How far an attempt had come, by its working files: read without PyTorch, and without trusting what lies there.

Whoever closes an attempt after its first values could be read may have closed it because of them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.ledger.attempt_records import AttemptProgress
from harness.ledger.events import Ledger
from harness.ledger.index import StartedRun
from harness.system.reading import LARGEST_FILE, read_beginning, read_regular
from harness.wording import format_count

SEAL = 65
"""Bytes of the digest, with its line end, that a working file begins with."""
LARGEST_HEADER = 2**26


def read_progress(trail: Ledger, run: StartedRun) -> AttemptProgress | None:
    """Read how far an attempt had come; None if its working files are not here."""
    folder = trail.root / run.folder / "work"
    if not folder.is_dir():
        return None
    trained, under_way, epoch, readable = 0, 0, 0, bool(trail.index().looks(run.digest))
    for file in sorted(folder.iterdir()):
        with suppress(OSError, ValueError, KeyError, TypeError):  # a damaged one is trained again
            if file.suffix == ".json":
                trained += len(json.loads(read_regular(file, LARGEST_FILE)[SEAL:])["replicas"])
                readable = True
            elif file.suffix == ".safetensors":
                told = _read_header(file)
                log = json.loads(told["log"])
                under_way += len(log["diverged"])
                epoch = max(epoch, int(told["epoch"]))
                readable = readable or bool(log["epochs"])
    return AttemptProgress(
        replicas=_count_replicas(trail, run), trained=trained, under_way=under_way, epoch=epoch, readable=readable
    )


def _read_header(file: Path) -> dict[str, Any]:
    """Read what a checkpoint says of itself."""
    length = int.from_bytes(read_beginning(file, SEAL + 8)[SEAL:], "little")
    if length > LARGEST_HEADER:
        raise ValueError("a header that is too long")
    told: dict[str, Any] = json.loads(read_beginning(file, SEAL + 8 + length)[SEAL + 8 :])["__metadata__"]
    return told


def _count_replicas(trail: Ledger, run: StartedRun) -> int | None:
    """Count all replicas of an attempt; None if its registered form is not here."""
    try:
        form = json.loads(trail.read_object(run.body.canonical))
        return len(form["arms"]) * len(run.body.seeds)
    except (HarnessError, ValueError, KeyError, TypeError):
        return None


def describe_progress(progress: AttemptProgress | None) -> str:
    """Say how far an attempt had come, as a clause; empty where nobody knows."""
    if progress is None:
        return ""
    whole = f" of {progress.replicas}" if progress.replicas is not None else ""
    came = f"after {progress.trained}{whole} replicas were trained"
    if progress.under_way:
        came += f" and {progress.under_way} had come to {format_count(progress.epoch, 'whole epoch')}"
    values = "measured values could be read" if progress.readable else "no measured value could be read yet"
    return f"{came}; {values}"
