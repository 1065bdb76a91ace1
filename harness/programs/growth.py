"""Progress of a program, by the last whole line of a results file that grows while it runs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from harness.records.program import Results

TAIL = 65536
"""Most bytes of the end of a file that are looked at."""


def find_epoch(path: Path, results: Results) -> int:
    """Return the epoch that the last whole line tells of; 0 while it tells none, and in a file that doesn't grow."""
    if results.form not in ("jsonl", "csv"):
        return 0
    with suppress(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            header = file.readline(TAIL).decode()
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            last = file.read(TAIL).rpartition(b"\n")[0].rpartition(b"\n")[2].decode()
        told = json.loads(last)["epoch"] if results.form == "jsonl" else _read_field(header, last)
        return min(max(0, int(told)), results.epochs)
    return 0


def _read_field(header: str, row: str) -> str:
    names = [name.strip() for name in header.split(",")]
    return row.split(",")[names.index("epoch")]
