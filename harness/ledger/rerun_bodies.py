"""The bodies of events that tell of a judged run trained again: from its own seeds, or from those of a reader."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from harness.ledger.body_fields import ABSENT, NONCE, Run
from harness.ledger.environment import Environment
from harness.ledger.pins import Digest
from harness.plugins.fields import Unit
from harness.records import Record
from harness.records.base import Name


class ReplicatedBody(Record):
    """A run trained again from its registered seeds. No attempt: it adds no data and gives no outcome."""

    run: Run
    """Digest of the run_started event."""
    expected: Literal["bits", "statistics"]
    """The promise: the same bits on the same device, plan, code and packages; elsewhere the same statistics."""
    agreement: Literal["bits", "statistics", "none"]
    """The agreement that was found."""
    circumstances: tuple[str, ...] = ()
    """Differences from the run's circumstances, one sentence each; empty if bits were expected."""
    differences: tuple[str, ...] = ()
    """Differences in what came out, one sentence each."""
    outcome: Name
    """The outcome that the rerun's results give."""
    results: Digest
    """Digest of the rerun's results.json. Where it is not the run's own, its bytes are an object."""
    search: Digest | None = ABSENT
    """Digest of the rerun's search.json; None if nothing was tuned."""
    plan: Digest
    """Digest of the plan that was trained."""
    environment: Environment
    """Versions, machine and settings of the rerun."""
    device: str
    """The device that trained, in words."""
    arithmetic: dict[str, str] | None = None
    """Variables and libraries that also select its arithmetic, as in ``run_started``."""


class RepeatedBody(Record):
    """A run repeated with seeds that follow from a reader's nonce. The run's verdict stays."""

    run: Run
    """Digest of the run_started event."""
    nonce: Annotated[str, StringConstraints(pattern=f"^{NONCE.pattern}$")]
    """The reader's choice, made after the verdict."""
    form: Digest
    """Digest of the normal form of the run's hypothesis; seeds follow from it and the nonce."""
    results: Digest
    """Digest of the repetition's results.json, whose bytes are an object."""
    outcome: Name
    """The outcome that its results give."""
    differences: tuple[str, ...] = ()
    """Points in which it does not agree with the run, one sentence each."""
    combined: Annotated[dict[Name, tuple[float, ...]], Unit("the estimand's unit")]
    """Decision → the mean over all seeds of both, and the ends of its 95% interval."""
    plan: Digest
    """Digest of the plan that was trained."""
    environment: Environment
    """Versions, machine and settings of the repetition."""
    device: str
    """The device that trained, in words."""
    arithmetic: dict[str, str] | None = None
    """Variables and libraries that also select its arithmetic, as in ``run_started``."""
