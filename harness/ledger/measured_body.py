"""The body of the event about stored weights that were measured again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.ledger.body_fields import MetricKey, RelativePath, Run
from harness.ledger.environment import Environment
from harness.ledger.pins import Digest
from harness.plugins.fields import Unit
from harness.records import Record
from harness.records.base import Name, Text


class MeasuredBody(Record):
    """Stored weights of a judged run, measured again: this is exploratory, moves no claim and changes no verdict."""

    run: Run
    """Digest of the run_started event."""
    metrics: tuple[MetricKey, ...] = Field(min_length=1)
    """Keys of the metrics, such as ``credit_cosine:feedback=fresh``."""
    epochs: Annotated[dict[Name, int], Unit("epochs")] = Field(min_length=1)
    """Arm → epoch whose weights were measured."""
    weights: dict[RelativePath, Digest] = Field(min_length=1)
    """File below the run's weights/ folder → SHA-256, for every file that was measured."""
    results: Digest
    """Digest of what was measured, in the form of results.json, whose bytes are an object."""
    plugins: dict[Text, Digest]
    """"metrics/<name>" → digest of the file that defines it."""
    data: dict[str, Digest]
    """Data-set name → fingerprint of what was measured on."""
    environment: Environment
    """Versions, machine and settings."""
    device: str
    """The device that calculated, in words."""
    arithmetic: dict[str, str] | None = None
    """Variables and libraries that also select its arithmetic, as in ``run_started``."""
