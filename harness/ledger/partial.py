"""Values of a cohort in training so far, as its run writes them down epoch by epoch for whoever follows it.

A file of lines, each JSON: first which replicas the cohort has, then one line for each evaluated epoch. It is no
evidence and nothing resumes from it; it is read without PyTorch, and without trusting what lies there.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.records import ReplicaResult, Series
from harness.system.reading import LARGEST_FILE, read_regular

SUFFIX = ".values"
"""Ending of such a file, beside the checkpoint of its cohort."""
UNKNOWN = "0" * 64
"""Digest in place of that of weights, which nobody has taken yet."""


@dataclass(frozen=True)
class Partial:
    """Values that a cohort had measured when its file was read."""

    replicas: tuple[tuple[str, int, int], ...]
    """Arm, seed index and seed of each replica."""
    epochs: tuple[int, ...]
    """Epochs that were evaluated, from 1."""
    diverged: tuple[int | None, ...]
    """Epoch in which each replica diverged; None if it has not."""
    stopped: tuple[int | None, ...]
    """Epoch at which each replica stopped; None if it has not."""
    values: dict[str, dict[str, list[Any]]]
    """Metric → summary → ``[epoch][replica][layer]``."""

    def list_results(self) -> tuple[ReplicaResult, ...]:
        """Return the replicas as if they had ended here, without a digest of their weights."""
        return tuple(self._make_result(r) for r in range(len(self.replicas)))

    def _make_result(self, r: int) -> ReplicaResult:
        arm, index, seed = self.replicas[r]
        count = sum(epoch <= (self.stopped[r] or epoch) for epoch in self.epochs)
        metrics = {
            metric: Series(
                epochs=self.epochs[:count],
                values={name: tuple(tuple(rows[r]) for rows in epochs[:count]) for name, epochs in summaries.items()},
            )
            for metric, summaries in self.values.items()
        }
        return ReplicaResult(
            arm=arm,
            seed_index=index,
            seed=seed,
            status="finished" if self.diverged[r] is None else "diverged",
            diverged_epoch=self.diverged[r],
            stopped_epoch=self.stopped[r],
            weights_sha256=UNKNOWN,
            metrics=metrics,
        )


def read_partial(file: Path) -> Partial | None:
    """Read such a file, up to its last whole line; None if it is not there or says nothing that is understood."""
    try:
        lines = read_regular(file, LARGEST_FILE).split(b"\n")[:-1]
        replicas = tuple((str(arm), int(index), int(seed)) for arm, index, seed in json.loads(lines[0])["replicas"])
        ends: dict[str, Any] = {"diverged": [None] * len(replicas), "stopped": [None] * len(replicas)}
        epochs: list[int] = []
        values: dict[str, dict[str, list[Any]]] = {}
        for line in lines[1:]:
            ends = json.loads(line)
            epochs.append(int(ends["epoch"]))
            for metric, summaries in ends["values"].items():
                for name, rows in summaries.items():
                    values.setdefault(metric, {}).setdefault(name, []).append(rows)
        return Partial(replicas, tuple(epochs), tuple(ends["diverged"]), tuple(ends["stopped"]), values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def list_partial(folder: Path) -> tuple[tuple[Path, Partial], ...]:
    """Read all such files in a folder of working files."""
    with suppress(OSError):
        found = [(file, read_partial(file)) for file in sorted(folder.glob(f"*{SUFFIX}"))]
        return tuple((file, partial) for file, partial in found if partial is not None)
    return ()
