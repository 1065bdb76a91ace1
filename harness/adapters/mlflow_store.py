"""MLflow's file store: a file per metric, with a line per value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

from harness.adapters import LARGEST, Adapter, BadRecord, Point, find_one

MOST = 1000
"""Largest number of metrics of a run, and of the folders that their names make."""


class MlflowStore(Adapter):
    """Metrics of one run in MLflow's file store: ``file: mlruns/*/*/metrics``, a folder below that of the run.

    A point is at the step that the program gave; ``steps_per_epoch`` says how many of them are an epoch. The folder's
    files are kept as one JSON object, name → contents.

    Equation:
        line = timestamp value step

    Source:
        MLflow's FileStore, as of version 3; it is in maintenance, and needs MLFLOW_ALLOW_FILE_STORE=true there.

    Use:
        For programs that log to MLflow with ``MLFLOW_TRACKING_URI=file:…`` below their results folder.

    Traps:
        Two runs below one store fit twice, and none is chosen for you. A server or a database holds nothing that could
        be kept with the run: let the program log to files, and bring these in afterwards.
    """

    name: Literal["mlflow_store"]
    tool: ClassVar[str] = "MLflow's file store"
    counts_steps: ClassVar[bool] = True

    def gather(self, folder: Path, place: str) -> bytes | None:
        """Return the files of a run's metrics as one JSON object."""
        found = find_one(folder, place)
        if found is None or not found.is_dir():
            return None
        told: dict[str, str] = {}
        left = LARGEST
        paths = list(islice(found.rglob("*"), 2 * MOST + 1))
        if len(paths) > 2 * MOST:
            return None
        for path in sorted(paths):
            if path.is_symlink() or not path.is_file():
                continue
            with path.open("rb") as file:
                content = file.read(left + 1)
            left -= min(len(content), left)
            told[path.relative_to(found).as_posix()] = content.decode(errors="replace")
        return json.dumps(told, sort_keys=True).encode()

    def read(self, raw: bytes) -> Iterator[Point]:
        """Yield the lines of all files."""
        told = json.loads(raw)
        if not isinstance(told, dict):
            raise BadRecord("its metrics are no files by name")
        for name, text in told.items():
            for line in text.splitlines():
                _, value, step, *_ = line.split()
                yield Point(name, float(int(step)), float(value))


plugin = MlflowStore
