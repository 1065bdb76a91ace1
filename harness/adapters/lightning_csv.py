"""Lightning's CSV logger: metrics.csv, with a column per metric and a row per call."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import ClassVar, Literal

from harness.adapters import Adapter, BadRecord, Point

OWN = ("epoch", "step")


class LightningCsv(Adapter):
    """metrics.csv of Lightning's CSVLogger: ``file: lightning_logs/version_0/metrics.csv``.

    Its epochs are counted from 0 and become epochs from 1. An empty field says that the metric was not logged there.

    Equation:
        epoch of a point = the row's epoch + 1

    Source:
        lightning.pytorch.loggers.CSVLogger, as of version 2.6.

    Use:
        For programs with Lightning's Trainer that log one value of a metric per epoch (``on_epoch=True``).

    Traps:
        A metric that is logged at every step has several values in an epoch, and none is chosen for you. What
        ``trainer.test`` logs after training is at an epoch behind the last: declare it in a file that asks for one
        evaluation.
    """

    name: Literal["lightning_csv"]
    tool: ClassVar[str] = "Lightning's CSV logger"

    def read(self, raw: bytes) -> Iterator[Point]:
        """Yield the fields of all rows that are not empty."""
        try:
            table = csv.DictReader(io.StringIO(raw.decode()), strict=True)
            rows = list(table)
        except csv.Error as error:
            raise BadRecord("its metrics are not CSV: cut off, or not written as such") from error
        names = table.fieldnames or ()
        if len(set(names)) < len(names):
            raise BadRecord("a column of its metrics comes twice")
        for row in rows:
            if None in row or None in row.values():
                raise BadRecord("a row of its metrics has more or fewer fields than the header: cut off?")
            epoch = float(row["epoch"]) + 1 if row.get("epoch") else 0.0
            for name, text in row.items():
                if name not in OWN and text:
                    yield Point(name, epoch, float(text))


plugin = LightningCsv
