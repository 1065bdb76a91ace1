"""Runs in one CSV file of harness's own form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from harness.adapters import BadRecord, RunsAdapter, ToldRun
from harness.adapters._exports import make_run, pick, read_end, read_number, read_table, require_columns

LAST = ("params.", "metrics.")
OWN = ("run", "seed", "started", "status", "commit", "arm", "epoch")


class RunsCsv(RunsAdapter):
    """A CSV file with the columns run, seed, started, ``params.NAME`` and ``metrics.NAME``.

    Columns status, commit and arm may be there too, and ``harness explore`` does without started. A run has one row,
    or, with a column epoch, a row for each epoch.

    Equation:
        a run = the rows with the same text in column run

    Source:
        harness's own.

    Use:
        For ``harness link`` and ``harness explore``, from a spreadsheet or a short script.

    Traps:
        ``started`` needs a time zone: 2026-11-30T12:00:00Z. A metric by layer has no place in a row: use runs_json.
    """

    name: Literal["runs_csv"]
    tool: ClassVar[str] = "a CSV file of runs"

    def read_runs(self, raw: bytes) -> Iterator[ToldRun]:
        """Yield the runs, each at its first row."""
        rows = read_table(raw)
        require_columns(rows, "run", "seed")
        if unknown := [name for name in rows[0] if name not in OWN and not name.startswith(LAST)]:
            raise BadRecord(f"its column {unknown[0]} is none of {', '.join(OWN)}, params.NAME and metrics.NAME")
        grouped: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            grouped.setdefault(row["run"], []).append(row)
        for name, own in grouped.items():
            first = own[0]
            if any({**row, **dict.fromkeys(_list_varying(row))} != {**first, **dict.fromkeys(_list_varying(first))}
                   for row in own):  # fmt: skip
                raise BadRecord(f"the rows of run {name} differ in more than epoch and metrics")
            yield make_run(
                pick(first, "params.") | {"seed": first["seed"]},
                _collect_metrics(name, own),
                name=name,
                started=first.get("started", ""),
                ended=read_end(first.get("status") or "finished"),
                commit=first.get("commit") or None,
                arm=first.get("arm") or None,
            )


def _list_varying(row: dict[str, str]) -> list[str]:
    return [column for column in row if column == "epoch" or column.startswith("metrics.")]


def _collect_metrics(name: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    """Return metric → number, or its numbers at their epochs."""
    if "epoch" not in rows[0]:
        if len(rows) > 1:
            raise BadRecord(f"run {name} has {len(rows)} rows, and there is no column epoch")
        return {metric: read_number(text) for metric, text in pick(rows[0], "metrics.").items()}
    found: dict[str, Any] = {}
    for row in rows:
        for metric, text in pick(row, "metrics.").items():
            series = found.setdefault(metric, {"epochs": [], "value": []})
            series["epochs"].append(read_number(row["epoch"]))
            series["value"].append(read_number(text))
    return found


plugin = RunsCsv
