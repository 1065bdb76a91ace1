"""Records of attempts in the bodies of events: the state of an attempt, and its progress."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.plugins.fields import Unit
from harness.records import Record
from harness.records.base import Name


class AttemptState(Record):
    """The part of an attempt that an amendment's author could have seen."""

    status: Literal["open", "finished", "failed", "aborted", "pilot"]
    """pilot, or the stage that it had come to."""
    outcome: Name | None = None
    """The outcome; None if it was not judged."""


class AttemptProgress(Record):
    """The progress of an attempt, as its working files and its looks had it."""

    replicas: Annotated[int | None, Unit("replicas")]
    """Number of replicas that were to be trained; None if the registered form was not at hand."""
    trained: Annotated[int, Unit("replicas")]
    """Number of replicas that were trained to the end."""
    under_way: Annotated[int, Unit("replicas")]
    """Number of replicas that a checkpoint held."""
    epoch: Annotated[int, Unit("epochs")]
    """Whole epochs of the checkpoint that had come farthest."""
    readable: bool
    """True if measured values could be read: of a trained replica, of a checkpoint, or of a look."""
