"""Specifications of guards, decisions and their combination, and of the meaning of their outcomes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.criteria import Criterion
from harness.plugins.fields import Unit
from harness.plugins.registry import Named
from harness.records.bands import Band, find_cuts
from harness.records.base import Id, Name, Record, Text
from harness.records.estimands import Estimand

RESERVED_OUTCOMES = ("inconclusive", "invalid")


class Guard(Record):
    """A condition without which the decisions mean nothing. It is tested across all seeds and never filters them."""

    estimand: Name = Field(examples=["margin"])
    """Name of the estimand that the guard tests."""
    above: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, examples=[1.0e-7])
    """Value that the estimand must lie above, in the estimand's unit. Give either this or ``below``."""
    below: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, examples=[2.5])
    """Value that the estimand must lie below, in the estimand's unit. Give either this or ``above``."""
    alpha: Annotated[float, Unit("probability")] = Field(default=0.05, gt=0, lt=0.5)
    """Significance level of the guard's own one-sided test. The α of the decisions is not spent on it."""
    otherwise: Text = Field(examples=["The network did not train, so the comparison means nothing."])
    """Sentence that the verdict prints if the guard does not hold."""

    @model_validator(mode="after")
    def _one_of(self) -> Guard:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either above or below")
        return self


class DecisionSpec(Record):
    """A decision: an estimand, a criterion, and bands that tile the real line."""

    estimand: Name = Field(examples=["margin"])
    """Name of the estimand that decides."""
    criterion: Annotated[Criterion, Named("criteria")]
    """Statistical test and its significance level α."""
    bands: dict[Name, Band] = Field(
        min_length=2, examples=[{"worse": "(-inf, -1)", "similar": "[-1, 1]", "better": "(1, inf)"}]
    )
    """Outcome → union of intervals, in the estimand's unit. Together the bands cover the line, and every point belongs
    to exactly one of them."""

    @property
    def cuts(self) -> tuple[float, ...]:
        """Every boundary of the bands once, in ascending order."""
        return find_cuts(self.bands)

    def about_signed_summary(self, estimand: Estimand) -> DecisionSpec:
        """Return the decision with its bands as statements about the signed summary of its estimand.

        Bands about an absolute value become symmetric; symmetric ones stay as they are.
        """
        if estimand.transform != "absolute_after":
            return self
        return self.model_copy(update={"bands": {name: band.mirror() for name, band in self.bands.items()}})


class Combine(Record):
    """Rule that combines several decisions into one outcome; required if there is more than one."""

    rule: Literal["all", "any", "table"]
    """Kind of combination. all, any: every decision, or at least one, must fall into its bands under ``holds``; table:
    the rows of ``table`` assign outcomes to combinations of bands."""
    holds: dict[Name, tuple[Name, ...]] | None = Field(
        default=None, examples=[{"harm": ["worse"], "depth": ["useful"]}]
    )
    """Decision → its bands that count as holding; for ``all`` and ``any``."""
    outcome: Name | None = Field(default=None, examples=["credit_fails"])
    """Outcome if the combination holds; for ``all`` and ``any``."""
    otherwise: Name | None = Field(default=None, examples=["undecided"])
    """Outcome if the combination does not hold; for ``all`` and ``any``."""
    table: tuple[Cell, ...] | None = None
    """Rows of which the first that fits gives the outcome; for ``table``."""

    @model_validator(mode="after")
    def _complete(self) -> Combine:
        simple = (self.holds, self.outcome, self.otherwise)
        if self.rule == "table":
            if self.table is None or any(part is not None for part in simple):
                raise ValueError("rule table takes the key 'table' and no other")
        elif self.table is not None or any(part is None for part in simple):
            raise ValueError(f"rule {self.rule} takes holds, outcome and otherwise")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Every outcome that the combination can give once, in the file's order."""
        names = [cell.outcome for cell in self.table] if self.table else [self.outcome or "", self.otherwise or ""]
        return tuple(dict.fromkeys(names))


class Cell(Record):
    """One row of the table: an outcome for a combination of bands.

    A decision that the row does not name may fall into any band.
    """

    when: dict[Name, Name] = Field(examples=[{"harm": "worse", "depth": "useful"}])
    """Decision → band that it must fall into."""
    outcome: Name = Field(examples=["credit_fails"])
    """Outcome that this combination gives."""


class Exclusions(Record):
    """Rule for seeds that have no usable value."""

    diverged: Literal["invalid", "worst_case", "exclude"] = "invalid"
    """Treatment of a seed that diverged in any deciding arm. invalid (default): the outcome is invalid; worst_case: the
    seed counts with the metric's worst value; exclude: the seed is dropped, and the verdict counts it."""
    failed: Literal["invalid", "worst_case"] = Field(default="invalid", exclude_if=lambda value: value == "invalid")
    """Treatment of a seed whose program failed in any deciding arm: it crashed, took too long, or wrote no valid
    results. invalid (default): the outcome is invalid; worst_case: the seed counts with the metric's worst value. Only
    in files with ``program``."""


class Replication(Record):
    """Rule by which a rerun on another device agrees with a run.

    On the same device and with the same plan, only the same bits agree.
    """

    level: Annotated[float, Unit("probability")] = Field(default=0.99, ge=0.5, lt=1)
    """Prediction level of the comparison: the outcome must be the same, and the mean of every deciding or guarding
    estimand (of onsets, the median) must lie in the interval that holds that of an independent repetition with this
    probability. A higher level tolerates larger differences."""


class Implication(Record):
    """The meaning of an outcome for claims made earlier."""

    says: Text = Field(examples=["The penalty helps by more than a point."])
    """Interpretation of the outcome, fixed before there are data."""
    supports: tuple[Id, ...] = ()
    """Claims that the outcome supports."""
    walks_back: tuple[Id, ...] = ()
    """Claims that the outcome walks back."""
    restores: tuple[Id, ...] = ()
    """Claims that an earlier verdict walked back and this outcome restores."""


Combine.model_rebuild()
