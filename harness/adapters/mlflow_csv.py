"""MLflow's runs as CSV: ``mlflow experiments csv``, or ``mlflow.search_runs(…).to_csv(…)``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from harness.adapters import RunsAdapter, ToldRun
from harness.adapters._exports import make_run, pick, read_end, read_number, read_table, require_columns


class MlflowCsv(RunsAdapter):
    """All runs of an experiment, as ``mlflow experiments csv --experiment-id ID --filename runs.csv`` writes them.

    The seed is the parameter ``seed``, and an arm, if one is logged, the parameter ``arm``.

    Equation:
        a run = a row: run_id, status, start_time, params.*, metrics.*, tags.mlflow.source.git.commit

    Source:
        mlflow.search_runs, as of version 3.

    Use:
        For ``harness link`` and ``harness explore``, from an MLflow server or store of any kind.

    Traps:
        It holds the last value of each metric alone: for several epochs, write runs_json. A run that is marked as
        deleted in MLflow is not in it.
    """

    name: Literal["mlflow_csv"]
    tool: ClassVar[str] = "MLflow's CSV of runs"

    def read_runs(self, raw: bytes) -> Iterator[ToldRun]:
        """Yield the rows."""
        rows = read_table(raw)
        require_columns(rows, "run_id", "status", "start_time")
        for row in rows:
            metrics = {name: read_number(text) for name, text in pick(row, "metrics.").items()}
            yield make_run(
                pick(row, "params."),
                metrics,
                name=row["run_id"],
                started=row["start_time"],
                ended=read_end(row["status"]),
                commit=row.get("tags.mlflow.source.git.commit") or None,
            )


plugin = MlflowCsv
