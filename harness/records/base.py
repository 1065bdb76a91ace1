"""The base class of all records: frozen, closed to unknown keys, without non-finite numbers."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints


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
