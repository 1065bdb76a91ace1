"""The seeds of a hypothesis: how many there are, and when no more are added."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.plugins.fields import Unit
from harness.records.base import Record, Text


class Seeds(Record):
    """The independent repetitions, shared by all arms."""

    count: Annotated[int | None, Unit("seeds")] = Field(default=None, ge=1, le=10_000, examples=[10])
    """How many; their numbers are derived from the registration, so nobody can choose them."""
    list: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**53)], ...] | None, Unit("seed numbers")] = Field(
        default=None, min_length=1, examples=[[1, 2, 3, 4, 5]]
    )
    """Explicit numbers instead; the verdict marks them as hand-picked."""
    justification: Text | None = Field(
        default=None, examples=["With an sd of 1 point, 10 seeds tell 0 from 1 point with a power of .9."]
    )
    """Why this many."""
    sd: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, gt=0, examples=[1.0])
    """Standard deviation between seeds that the justification assumes, in the unit of the first decision."""

    @model_validator(mode="after")
    def _one_of(self) -> Seeds:
        if (self.count is None) == (self.list is None):
            raise ValueError("give either count (derived seeds) or list (hand-picked seeds)")
        if self.list is not None and len(set(self.list)) != len(self.list):
            raise ValueError("a seed is listed twice")
        return self

    @property
    def number(self) -> int:
        """How many seeds."""
        return self.count if self.count is not None else len(self.list or ())


class Stopping(Record):
    """When seeds stop being added."""

    kind: Literal["fixed", "looks", "anytime"] = "fixed"
    """fixed: all seeds, then judge once; looks: judge at the numbers in ``at``, each time at α over their number;
    anytime: judge with an anytime-valid criterion, after every seed from the second or at the numbers in ``at``."""
    at: Annotated[tuple[int, ...] | None, Unit("seeds")] = Field(default=None, examples=[[5, 10]])
    """Numbers of seeds at which is judged, rising to the number registered. What lies between trains together."""

    def numbers(self, registered: int) -> tuple[int, ...]:
        """Numbers of seeds at which is judged, of ``registered`` in all; fixed: once, after all of them."""
        if self.kind == "fixed":
            return (registered,)
        return self.at or tuple(range(min(2, registered), registered + 1))

    @property
    def parts(self) -> int:
        """By how much each look divides the α of decisions: planned looks share it, an anytime-valid test does not."""
        return len(self.at) if self.kind == "looks" and self.at else 1
