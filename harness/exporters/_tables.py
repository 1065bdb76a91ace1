"""The tables of an export, and the files that they go to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.exporters import refuse_taken
from harness.ledger import Ledger
from harness.pipeline.tidy import Column, list_dictionary, tabulate_estimands, tabulate_measurements
from harness.pipeline.verdicts import JudgedRun, read_judged_run
from harness.system.storage import write_atomic

Cells = tuple[tuple[object, ...], ...]
Encode = Callable[[tuple[Column, ...], Cells, JudgedRun], bytes]
"""Takes the columns, the rows and the run; gives the bytes of a file."""
DICTIONARY = (
    Column("table", "string", "", "Table that the column belongs to."),
    Column("column", "string", "", "Name of the column."),
    Column("value", "string", "", "Value that is explained; empty where the column itself is."),
    Column("type", "string", "", "Type of the column's values: string, integer or number."),
    Column("unit", "string", "", "Unit of the column's values, or the column that says it; empty for strings."),
    Column("meaning", "string", "", "What the column or the value means."),
)


def write_tables(name: str, trail: Ledger, out: Path, suffix: str, encode: Encode) -> tuple[Path, ...]:
    """Write measurements, estimands and data dictionary of a run, each to a file of its own."""
    run = read_judged_run(trail, name)
    tables = (tabulate_measurements(run), tabulate_estimands(run))
    paths = name_files(out, suffix)
    refuse_taken(out, *paths)
    parts: list[tuple[tuple[Column, ...], Cells]] = [(table.columns, table.rows) for table in tables]
    parts.append((DICTIONARY, tuple(tuple(row.values()) for row in list_dictionary(*tables))))
    encoded = [encode(columns, rows, run) for columns, rows in parts]  # all of them before the first is written
    for path, data in zip(paths, encoded, strict=True):
        write_atomic(path, data)
    return paths


def name_files(out: Path, suffix: str) -> tuple[Path, Path, Path]:
    """Return the files of measurements, estimands and dictionary: in a folder, or beside a file that ``out`` names."""
    if out.suffix != suffix:
        return out / f"measurements{suffix}", out / f"estimands{suffix}", out / f"dictionary{suffix}"
    estimands, dictionary = (out.with_name(f"{out.stem}-{part}{suffix}") for part in ("estimands", "dictionary"))
    return out, estimands, dictionary
