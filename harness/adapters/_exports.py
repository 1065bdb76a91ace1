"""Reading that adapters for exports of several runs share; no plug-in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from harness.adapters import BadRecord, ToldRun
from harness.system.strict_csv import NoTable, read_rows
from harness.system.strict_json import NotStrict, read_strict

ENDS = {
    "finished": "finished", "diverged": "diverged", "failed": "failed", "killed": "killed", "crashed": "killed",
    "preempted": "preempted",
}  # fmt: skip
"""Word of a tool, in lower case → end of a run. W&B calls a run crashed that it hears no more of."""
NO_TABLE = {
    "form": "it is not CSV in UTF-8: cut off, or not written as such",
    "empty": "it is empty",
    "twice": "a column comes twice",
    "row": "row {row} has {told}",
}
SEED = re.compile(r"[0-9]{1,19}")


def read_table(raw: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV file, column → field.

    Raises:
        BadRecord: It is not CSV, or a row or the header is not whole.
    """
    try:
        return list(read_rows(raw.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise BadRecord(NO_TABLE["form"]) from error
    except NoTable as error:
        raise BadRecord(NO_TABLE[error.kind].format(row=error.row, told=error.told)) from error


def require_columns(rows: list[dict[str, str]], *names: str) -> None:
    """Refuse a table without some columns.

    Raises:
        BadRecord: One is not there, or there is no row.
    """
    if not rows:
        raise BadRecord("it has no row below its header")
    if missing := [name for name in names if name not in rows[0]]:
        raise BadRecord(f"it has no column {missing[0]}: its columns are {', '.join(rows[0])[:300]}")


def read_json(raw: bytes) -> Any:
    """Return the value of a JSON file.

    Raises:
        BadRecord: It is not JSON, holds NaN or Infinity, or a key twice.
    """
    try:
        return read_strict(raw)
    except NotStrict as error:
        raise BadRecord(str(error)) from error


def read_seed(told: Any) -> int | None:
    """Return a seed that is told as a whole number, or as the text of one; None if it is not."""
    if isinstance(told, int) and not isinstance(told, bool):
        return told
    return int(told) if isinstance(told, str) and SEED.fullmatch(told) else None


def read_end(told: str) -> str:
    """Return the end of a run that a tool's word stands for; the word itself if it is none."""
    return ENDS.get(told.lower(), told)


def read_number(text: str) -> float | str | None:
    """Return a field's number, None where it is not finite, or the text itself where it is no number."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else None


def pick(row: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the fields of the columns with a prefix that are not empty, by the rest of the name."""
    return {name.removeprefix(prefix): text for name, text in row.items() if name.startswith(prefix) and text}


def make_run(parameters: Mapping[str, str], metrics: Mapping[str, Any], **more: Any) -> ToldRun:
    """Return a run whose seed, and perhaps arm, are parameters."""
    return ToldRun(
        seed=read_seed(parameters.get("seed")),
        parameters=dict(parameters),
        metrics=metrics,
        arm=more.pop("arm", None) or parameters.get("arm"),
        **more,
    )
