"""The tables of an export, and the files that they go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.exporters import refuse_taken
from harness.ledger import Ledger
from harness.pipeline.tidy import (
    Column,
    TidyTable,
    list_dictionary,
    tabulate_estimands,
    tabulate_measurements,
    tabulate_search,
)
from harness.pipeline.verdicts import JudgedRun, read_judged_run
from harness.system.storage import write_atomic, written_whole

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
    """Write measurements, estimands, the search if arms were tuned, and the data dictionary, each to a file."""
    run = read_judged_run(trail, name)
    tables: list[TidyTable[Any]] = [tabulate_measurements(run), tabulate_estimands(run)]
    if run.stored.search is not None:
        tables.append(tabulate_search(run))
    paths = name_files(out, suffix, [*(table.name for table in tables), "dictionary"])
    refuse_taken(out, *paths)
    parts: list[tuple[tuple[Column, ...], Cells]] = [(table.columns, table.rows) for table in tables]
    parts.append((DICTIONARY, tuple(tuple(row.values()) for row in list_dictionary(*tables))))
    encoded = [encode(columns, rows, run) for columns, rows in parts]  # all of them before the first is written
    with written_whole(lambda: [*paths, out]):
        for path, data in zip(paths, encoded, strict=True):
            write_atomic(path, data)
    return paths


def name_files(out: Path, suffix: str, parts: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of the parts: in a folder, or the first as a file that ``out`` names, the others beside it."""
    if out.suffix.lower() != suffix:
        return tuple(out / f"{part}{suffix}" for part in parts)
    return (out, *(out.with_name(f"{out.stem}-{part}{suffix}") for part in parts[1:]))
