"""Types of fields that bodies of events share."""

from __future__ import annotations

import re
from typing import Annotated, NewType

from pydantic import Field, StringConstraints

ABSENT = Field(default=None, exclude_if=lambda value: value is None)
"""Default of a field that older events lack, and that is left out where there is nothing to say."""
NONCE = re.compile(r"[A-Za-z0-9-]{16,128}")
"""A nonce that a reader chooses."""
RelativePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=255)
]
"""A file below a run folder; it cannot lead out of it."""
MetricKey = Annotated[
    str, StringConstraints(pattern=r'^[a-z][a-z0-9_]*(:[A-Za-z0-9_.,=+{}":\[\]-]+)?$', max_length=256)
]
"""A metric with its parameters, as in results.json."""
Time = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
"""A time, UTC."""
RunDigest = NewType("RunDigest", str)
"""The full digest of a run_started event: how events, and nobody else, name a run."""
RunName = NewType("RunName", str)
"""The first 12 digits of it: how people, pages and folders name a run."""
Run = Annotated[RunDigest, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
