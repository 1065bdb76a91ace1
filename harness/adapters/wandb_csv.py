"""W&B's table of runs, exported as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from harness.adapters import RunsAdapter, ToldRun
from harness.adapters._exports import make_run, pick, read_end, read_number, read_table, require_columns


class WandbCsv(RunsAdapter):
    """The table of a project's runs, as W&B's web page exports it: Name, State, Created, config and summary.

    The seed is the column ``seed``; columns ``arm`` and ``commit``, if they are logged, name the arm and the code.

    Equation:
        a run = a row; a column is a parameter or a metric, by whatever name the hypothesis has

    Source:
        Export of the runs table in W&B's web page, as of 2025.

    Use:
        For ``harness link`` and ``harness explore``, from a project in W&B: show all columns and all runs before you
        export the table.

    Traps:
        It holds the last value of each metric alone, and what the page's filter leaves out is not in it. Names of runs
        need not be unique. The git commit is no column of its own: log it in the config as ``commit``. The column User
        and notes go into the trail with the file: hide them first, if nobody should read them.
    """

    name: Literal["wandb_csv"]
    tool: ClassVar[str] = "W&B's table of runs"
    apart: ClassVar[bool] = False

    def read_runs(self, raw: bytes) -> Iterator[ToldRun]:
        """Yield the rows."""
        rows = read_table(raw)
        require_columns(rows, "Name", "State", "Created")
        for row in rows:
            told = pick(row, "")
            yield make_run(
                told,
                {name: read_number(text) for name, text in told.items()},
                name=row["Name"],
                started=row["Created"],
                ended=read_end(row["State"]),
                commit=told.get("commit"),
            )


plugin = WandbCsv
