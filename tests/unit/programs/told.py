"""Runs as somebody elsewhere tells them: of the toy, by its registered seeds, with the values of its good program."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.adapters import ToldRun

Row = dict[str, Any]


def measure(alpha: float, seed: int) -> float:
    """What the toy's good program measures."""
    spread = 0.02 * random.Random(seed).random() + 0.001 * random.Random(seed + 1).random() * alpha
    return 0.9 - 0.2 * alpha + spread


def list_rows(seeds: Sequence[int], started: str, **more: Any) -> list[Row]:
    """Return a row for every arm and seed of the toy, in the keys of runs_json."""
    return [
        {
            "run": f"{arm}-{index}",
            "seed": seed,
            "started": started,
            "parameters": {"alpha": alpha},
            "metrics": {"test_accuracy": measure(alpha, seed)},
            **more,
        }
        for arm, alpha in (("strong", 0.5), ("weak", 0.25))
        for index, seed in enumerate(seeds)
    ]


def make_told(row: Row) -> ToldRun:
    """Return the run that a row tells of."""
    return ToldRun(
        name=row["run"],
        seed=row["seed"],
        started=row["started"],
        ended=row.get("status", "finished"),
        parameters=row["parameters"],
        metrics=row["metrics"],
        arm=row.get("arm"),
        commit=row.get("commit"),
    )


def write_table(rows: Sequence[Row], columns: Mapping[str, str], parameter: str, metric: str) -> bytes:
    """Write rows as CSV: column → key of a row, and columns for parameters and metrics, with {} for the name."""
    text = io.StringIO()
    names = [parameter.format(name) for name in rows[0]["parameters"]]
    heads = [*columns, *names, *(metric.format(name) for name in rows[0]["metrics"])]
    table = csv.writer(text)
    table.writerow(heads)
    for row in rows:
        own = [row.get(key, "") for key in columns.values()]
        table.writerow([*own, *row["parameters"].values(), *row["metrics"].values()])
    return text.getvalue().encode()
