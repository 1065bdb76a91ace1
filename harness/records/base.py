"""The base class of all records: frozen, closed to unknown keys, without non-finite numbers."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints


class Record(BaseModel):
    """A frozen record. Unknown keys are errors, and so are NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    def to_json(self) -> str:
        """Return the record as canonical JSON: sorted keys, shortest form of floats, final newline."""
        return write_canonical(self.model_dump(mode="json"))


def write_canonical(value: Any) -> str:
    """Return ``value`` as JSON in the form of a run folder: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
"""The name of a hypothesis or a claim, and of a folder: lower-case words joined by hyphens."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""The name of something inside a file: lower-case words joined by underscores, so that "a - b" is a contrast."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=4000, strip_whitespace=True)]
"""Free text for people."""


INFINITE = {"-inf": -math.inf, "inf": math.inf}
"""Infinite numbers as files and verdict.json write them, since JSON has none."""


def _read_ordered(value: Any) -> Any:
    return INFINITE.get(value, value) if isinstance(value, str) else value


def _refuse_nan(value: float) -> float:
    if math.isnan(value):
        raise ValueError("not a number has no place in an order")
    return value


def _write_ordered(value: float) -> float | str:
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


Ordered = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(_read_ordered),
    AfterValidator(_refuse_nan),
    PlainSerializer(_write_ordered, when_used="json"),
]
"""A number that may lie beyond all others: an onset that never comes. In JSON, "inf" and "-inf" are strings."""
