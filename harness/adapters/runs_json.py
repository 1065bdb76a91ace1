"""Runs in one JSON file of harness's own form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from harness.adapters import BadRecord, RunsAdapter, ToldRun
from harness.adapters._exports import read_end, read_json, read_seed

KEYS = {
    "run", "seed", "arm", "started", "status", "commit", "parameters", "metrics", "diverged_epoch", "weights_sha256",
}  # fmt: skip


class RunsJson(RunsAdapter):
    """One JSON object, ``{"runs": [{"run": "a1", "seed": 7, "started": …, "parameters": {…}, "metrics": {…}}, …]}``.

    A metric is a number, the last epoch's, or ``{"epochs": [1, 2], "value": [0.9, 0.93]}``, with a list for each epoch
    of a metric by layer. ``arm``, ``commit``, ``diverged_epoch`` and ``weights_sha256`` may be left out, ``status``
    too: finished.

    Equation:
        a run = an object of runs

    Source:
        harness's own.

    Use:
        For ``harness link`` and ``harness explore``, from any cluster or tracker that a few lines of code can export,
        and for several epochs.

    Traps:
        ``started`` needs a time zone: 2026-11-30T12:00:00Z. JSON has no NaN: write null.
    """

    name: Literal["runs_json"]
    tool: ClassVar[str] = "a JSON file of runs"

    def read_runs(self, raw: bytes) -> Iterator[ToldRun]:
        """Yield the objects of ``runs``."""
        whole = read_json(raw)
        runs = whole.get("runs") if isinstance(whole, dict) else None
        if not isinstance(runs, list):
            raise BadRecord('it is not an object with a list of runs: {"runs": […]}')
        for number, one in enumerate(runs, 1):
            if not isinstance(one, dict):
                raise BadRecord(f"run {number} is not an object")
            if unknown := sorted(one.keys() - KEYS):
                raise BadRecord(f"run {number} has an unknown key {unknown[0]!r}: known are {', '.join(sorted(KEYS))}")
            for key in ("parameters", "metrics"):
                if not isinstance(one.get(key, {}), dict):
                    raise BadRecord(f"{key} of run {number} are not an object")
            yield ToldRun(
                name=_read_text(one, "run", number) or f"number {number}",
                seed=read_seed(one.get("seed")),
                started=_read_text(one, "started", number),
                ended=read_end(_read_text(one, "status", number) or "finished"),
                parameters=one.get("parameters", {}),
                metrics=one.get("metrics", {}),
                arm=_read_text(one, "arm", number) or None,
                commit=_read_text(one, "commit", number) or None,
                diverged_epoch=one.get("diverged_epoch"),
                weights_sha256=one.get("weights_sha256"),
            )


def _read_text(one: dict[str, Any], key: str, number: int) -> str:
    told = one.get(key)
    if told is not None and not isinstance(told, str):
        raise BadRecord(f"{key} of run {number} is not a text")
    return told or ""


plugin = RunsJson
