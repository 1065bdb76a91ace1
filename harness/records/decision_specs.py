"""What decides a hypothesis: guards, decisions, how they combine, and what their outcomes mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.criteria import Criterion
from harness.plugins.fields import Unit
from harness.plugins.registry import Named
from harness.records.bands import Band, cuts_of
from harness.records.base import Id, Name, Record, Text
from harness.records.estimands import Estimand

RESERVED_OUTCOMES = ("inconclusive", "invalid")


class Guard(Record):
    """What must hold for the decisions to mean anything. It is tested across seeds and never filters them."""

    estimand: Name = Field(examples=["margin"])
    """Which estimand."""
    above: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, examples=[1.0e-7])
    """It must lie above this, or"""
    below: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, examples=[2.5])
    """below this."""
    alpha: Annotated[float, Unit("probability")] = Field(default=0.05, gt=0, lt=0.5)
    """Level of the guard's own test."""
    otherwise: Text = Field(examples=["The network did not train, so the comparison means nothing."])
    """What the verdict says when the guard does not hold."""

    @model_validator(mode="after")
    def _one_of(self) -> Guard:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either above or below")
        return self


class DecisionSpec(Record):
    """An estimand, a criterion, and bands that tile the line."""

    estimand: Name = Field(examples=["margin"])
    """Which estimand decides."""
    criterion: Annotated[Criterion, Named("criteria")]
    """The statistical test and its α."""
    bands: dict[Name, Band] = Field(
        min_length=2, examples=[{"worse": "(-inf, -1)", "similar": "[-1, 1]", "better": "(1, inf)"}]
    )
    """Outcome → union of intervals; together they cover the line, no point twice."""

    @property
    def cuts(self) -> tuple[float, ...]:
        """Every boundary of the bands, rising, each once."""
        return cuts_of(self.bands)

    def about_signed_summary(self, estimand: Estimand) -> DecisionSpec:
        """Return the decision with its bands as statements about the signed summary of its estimand.

        Bands about an absolute value become symmetric; symmetric ones stay as they are.
        """
        if estimand.transform != "absolute_after":
            return self
        return self.model_copy(update={"bands": {name: band.mirrored() for name, band in self.bands.items()}})


class Combine(Record):
    """How several decisions make one outcome."""

    rule: Literal["all", "any", "table"]
    """all, any: whether every or some decision falls in its bands of ``holds``; table: combination → outcome."""
    holds: dict[Name, tuple[Name, ...]] | None = Field(
        default=None, examples=[{"harm": ["worse"], "depth": ["useful"]}]
    )
    """all, any: decision → its bands that count as holding."""
    outcome: Name | None = Field(default=None, examples=["credit_fails"])
    """all, any: the outcome if it holds."""
    otherwise: Name | None = Field(default=None, examples=["undecided"])
    """all, any: the outcome if it does not."""
    table: tuple[Cell, ...] | None = None
    """table: the first row that fits gives the outcome."""

    @model_validator(mode="after")
    def _complete(self) -> Combine:
        simple = (self.holds, self.outcome, self.otherwise)
        if self.rule == "table":
            if self.table is None or any(part is not None for part in simple):
                raise ValueError("rule table takes 'table' and nothing else")
        elif self.table is not None or any(part is None for part in simple):
            raise ValueError(f"rule {self.rule} takes holds, outcome and otherwise")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Every outcome it can give, in the file's order, each once."""
        names = [cell.outcome for cell in self.table] if self.table else [self.outcome or "", self.otherwise or ""]
        return tuple(dict.fromkeys(names))


class Cell(Record):
    """One row of a truth table: an outcome for a combination of bands; a decision not named may be anything."""

    when: dict[Name, Name] = Field(examples=[{"harm": "worse", "depth": "useful"}])
    """Decision → band."""
    outcome: Name = Field(examples=["credit_fails"])
    """What the combination means."""


class Exclusions(Record):
    """What happens to seeds that cannot be used."""

    diverged: Literal["invalid", "worst_case", "exclude"] = "invalid"
    """invalid: no outcome; worst_case: the metric's worst value; exclude: the seed is dropped, and counted."""


class Replication(Record):
    """When a rerun on another device agrees with a run; on the same device and plan only the same bits do."""

    level: Annotated[float, Unit("probability")] = Field(default=0.99, ge=0.5, lt=1)
    """The outcome must be the same, and the mean of every deciding or guarding estimand must lie where that of an
    independent repetition would with this probability."""


class Implication(Record):
    """What an outcome means for claims made earlier."""

    says: Text = Field(examples=["The penalty helps by more than a point."])
    """The interpretation, fixed before the data."""
    supports: tuple[Id, ...] = ()
    """Claims that it supports."""
    walks_back: tuple[Id, ...] = ()
    """Claims that it walks back."""
    restores: tuple[Id, ...] = ()
    """Claims walked back earlier that it restores."""


Combine.model_rebuild()
