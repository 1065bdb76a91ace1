"""A run's numbers as tidy CSV files, for any program."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import ClassVar

from harness.exporters import Exporter
from harness.exporters._tables import Cells, write_tables
from harness.ledger import Ledger
from harness.pipeline.tidy import Column
from harness.pipeline.verdicts import JudgedRun


class Csv(Exporter):
    """Measurements, estimands and data dictionary as CSV: UTF-8, a line of names, empty cells for what is missing.

    Numbers are written with as many digits as it takes to read the same number back, infinite ones as inf and -inf.
    """

    about: ClassVar[str] = "the run's numbers as tidy tables with a data dictionary (a folder, or a file.csv)"
    endings: ClassVar[tuple[str, ...] | None] = (".csv",)

    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write ``measurements.csv``, ``estimands.csv`` and ``dictionary.csv`` to a folder.

        Of a run whose arms were tuned there is ``search.csv`` too, with all candidates. If ``out`` ends in .csv, the
        measurements go there, and the others beside it.
        """
        return write_tables(name, trail, out, ".csv", _encode)


exporter = Csv()


def _encode(columns: tuple[Column, ...], rows: Cells, _: JudgedRun) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(column.name for column in columns)
    writer.writerows([repr(cell) if isinstance(cell, float) else cell for cell in row] for row in rows)
    return stream.getvalue().encode()
