"""The seeds of a hypothesis: their number, and the rule by which no more are added."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.beacons import Beacon
from harness.plugins.fields import Unit
from harness.plugins.registry import Named
from harness.records.base import Record, Text


class Seeds(Record):
    """Independent repetitions, shared by all arms.

    Arms at the same seed start from the same weights and see the same batches.
    """

    count: Annotated[int | None, Unit("seeds")] = Field(default=None, ge=1, le=10_000, examples=[10])
    """Number of seeds. The seed numbers are derived: with a ``beacon`` from its round and from what is trained and
    decided, so that nobody could have chosen them; without one from the registration, so that its author could have.
    Give either this or ``list``."""
    beacon: Annotated[Beacon, Named("beacons")] | None = Field(
        default=None, exclude_if=lambda value: value is None, examples=[{"name": "drand", "delay": 60}]
    )
    """Source of public randomness that the seed numbers of ``count`` are derived from. The round is the first whose own
    time is later than the registration and the beacon's ``delay``; a run waits for it or takes it from a file. Leave it
    out to work offline: pages and audits then say that the seeds are ones that the author could have chosen."""
    list: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**53)], ...] | None, Unit("seed numbers")] = Field(
        default=None, min_length=1, examples=[[1, 2, 3, 4, 5]]
    )
    """Explicit seed numbers, instead of ``count``. The verdict marks them as hand-picked, so use them only to repeat
    earlier work."""
    justification: Text | None = Field(
        default=None, examples=["With an sd of 1 point, 10 seeds tell 0 from 1 point with a power of .9."]
    )
    """Reason why this number of seeds suffices. It changes nothing and is printed in the verdict."""
    sd: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, gt=0, examples=[1.0])
    """Standard deviation between seeds that the justification assumes, in the unit of the first decision's estimand.
    ``harness power`` uses it."""

    @model_validator(mode="after")
    def _one_of(self) -> Seeds:
        if (self.count is None) == (self.list is None):
            raise ValueError("give either count (derived seeds) or list (hand-picked seeds)")
        if self.list is not None and len(set(self.list)) != len(self.list):
            raise ValueError("a seed is listed twice")
        if self.beacon is not None and self.list is not None:
            raise ValueError("a beacon draws the seeds of count; seeds under list are hand-picked: give one of both")
        return self

    @property
    def number(self) -> int:
        """Number of seeds."""
        return self.count if self.count is not None else len(self.list or ())


class Stopping(Record):
    """Stopping rule, which says when no more seeds are trained. By default, all seeds are trained and judged once."""

    kind: Literal["fixed", "looks", "anytime"] = "fixed"
    """Kind of rule. fixed (default): train all seeds, then judge once; looks: a group-sequential design with interim
    analyses at the numbers of seeds in ``at``, each at α divided by their number; anytime: judge with an anytime-valid
    criterion, after every seed from the second or at the numbers in ``at``."""
    at: Annotated[tuple[int, ...] | None, Unit("seeds")] = Field(default=None, examples=[[5, 10]])
    """Numbers of seeds after which the seeds so far are judged, ascending to the registered number. The seeds between
    two of them train together."""

    def numbers(self, registered: int) -> tuple[int, ...]:
        """Return the numbers of seeds after which the seeds so far are judged, out of ``registered`` in all.

        A fixed design is judged once, after all of them.
        """
        if self.kind == "fixed":
            return (registered,)
        return self.at or tuple(range(min(2, registered), registered + 1))

    @property
    def parts(self) -> int:
        """Number that each look divides the α of decisions by.

        Planned looks share α; an anytime-valid test does not divide it.
        """
        return len(self.at) if self.kind == "looks" and self.at else 1
