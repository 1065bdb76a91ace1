"""A run's numbers as tidy Parquet files (extra ``parquet``)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

from harness.exporters import Exporter
from harness.exporters._tables import Cells, write_tables
from harness.ledger import Ledger
from harness.pipeline.tidy import Column
from harness.pipeline.verdicts import JudgedRun


class Parquet(Exporter):
    """Tables of ``csv`` with types: the unit and the meaning of a column are also metadata of its field."""

    about: ClassVar[str] = "the same tables as csv (a folder, or a file.parquet)"
    extra: ClassVar[str | None] = "parquet"
    endings: ClassVar[tuple[str, ...] | None] = (".parquet",)

    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write ``measurements.parquet``, ``estimands.parquet`` and ``dictionary.parquet`` to a folder.

        Of a run whose arms were tuned there is ``search.parquet`` too, with all candidates. If ``out`` ends in
        .parquet, the measurements go there, and the others beside it.
        """
        try:
            import pyarrow.parquet
        except ImportError:
            raise self.refuse_missing("pyarrow") from None

        def encode(columns: tuple[Column, ...], rows: Cells, run: JudgedRun) -> bytes:
            stream = io.BytesIO()
            pyarrow.parquet.write_table(_build(columns, rows, run), stream)
            return stream.getvalue()

        return write_tables(name, trail, out, ".parquet", encode)


exporter = Parquet()


def _build(columns: tuple[Column, ...], rows: Cells, run: JudgedRun) -> Any:
    """Return a table of pyarrow whose metadata name the run and its registration."""
    import pyarrow

    types = {"string": pyarrow.string(), "integer": pyarrow.int64(), "number": pyarrow.float64()}
    about = {"run": run.run.digest, "registration": run.stored.registered.registration}
    fields = [
        pyarrow.field(one.name, types[one.type], metadata={"unit": one.unit, "meaning": one.meaning}) for one in columns
    ]
    parts = [[row[place] for row in rows] for place in range(len(columns))]
    return pyarrow.table(parts, schema=pyarrow.schema(fields, metadata=about))
