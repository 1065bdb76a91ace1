"""Values of a cohort so far, written down for whoever follows the run: ``harness.ledger.partial`` reads them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from harness.records import Cohort


class Told:
    """The file of one cohort, which grows by a line for each evaluated epoch.

    Nothing depends on it: a run whose file can't be written goes on without it, and tells nothing any more.
    """

    def __init__(self, path: Path, cohort: Cohort, log: dict[str, Any]) -> None:
        """Begin the file anew, with what ``log`` already holds."""
        self._path = path
        self._file: IO[bytes] | None = None
        self._epochs = 0
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # whoever reads the earlier one, reads it to its end
            self._file = path.open("xb", buffering=0)
        self._write({"replicas": [[one.arm, one.seed_index, one.seed] for one in cohort.replicas]})
        self.tell(log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def tell(self, log: dict[str, Any]) -> None:
        """Write down the epochs of a log that were not written down before."""
        ends = {"diverged": log["diverged"], "stopped": log.get("stopped") or [None] * len(log["diverged"])}
        for at in range(self._epochs, len(log["epochs"])):
            values = {
                metric: {name: epochs[at] for name, epochs in summaries.items()}
                for metric, summaries in log["values"].items()
            }
            self._write({"epoch": log["epochs"][at], **ends, "values": values})
        self._epochs = len(log["epochs"])

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
        except OSError:  # a full disk, say: half a line would make nonsense of the next one
            with suppress(OSError):
                self._file.close()
            self._file = None
