"""The reasons for an outcome, as data. ``harness.inference`` finds them, ``harness.verdict`` puts them into words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.records.base import Record


class Reason(Record):
    """The reason for an outcome."""

    kind: Literal[
        "pilot",
        "seed_not_applied",
        "diverged",
        "failed",
        "without_value",
        "guard_violated",
        "guard_unverified",
        "decisions",
    ]
    """Kind of the reason. pilot: there is no outcome; decisions: the decisions gave it; guard_unverified: the outcome
    is inconclusive; all others: it is invalid."""
    seeds: Annotated[dict[str, int], Unit("seeds")] = Field(default_factory=dict)
    """Arm → number of its seeds concerned; for ``without_value``, estimand → number of its seeds."""
    measured: Annotated[int, Unit("seeds")]
    """Number of seeds that were judged."""


class Holding(Record):
    """The reason why a combination by all or any gives its outcome."""

    rule: Literal["all", "any"]
    """"all" if all decisions must hold, "any" if one of them is enough."""
    count: Annotated[int, Unit("decisions")]
    """Number of decisions."""
    outcome: str
    """Outcome that the file gives if the combination holds."""
    otherwise: str
    """Outcome that the file gives if it does not hold."""
    given: str
    """Outcome that the decisions give: one of these two, or inconclusive."""
    p: Annotated[float | None, Unit("probability")]
    """p-value of the given outcome, before the factor for planned looks; None if nothing is shown."""
    shown: Annotated[dict[str, float] | None, Unit("probability")]
    """Decision → p-value after Holm, if a decision on the other side gives the outcome; otherwise None."""


class LookedUp(Record):
    """The reason why a table gives its outcome."""

    rule: Literal["table"] = "table"
    """Kind of combination."""
    alive: dict[str, tuple[str, ...]]
    """Decision that the table names → its bands that are not excluded."""
    options: tuple[str, ...]
    """Outcomes that remain possible, in alphabetical order."""
    given: str
    """The only remaining outcome, or inconclusive."""
    p: Annotated[float | None, Unit("probability")]
    """p-value of the given outcome, before the factor for planned looks; None if several outcomes remain."""


class Notice(Record):
    """A circumstance that a reader must know."""

    kind: Literal[
        "pilot",
        "other_number",
        "two_seeds",
        "all_alike",
        "left_out",
        "stood_in",
        "seed_not_applied",
        "after_look",
        "between_evaluations",
        "never",
        "both_never",
    ]
    """Kind of circumstance. other_number: the number of seeds is not the registered one; two_seeds: a t test with two
    seeds; all_alike: the seeds do not differ; left_out, stood_in: seeds without a value were dropped, or count with the
    worst one; seed_not_applied: the seed was not applied in an arm that decides nothing; after_look: seeds were
    measured after the look that ended the run; between_evaluations: seeds at which an onset is only known to lie
    between two evaluations; never, both_never: seeds at which an arm never came to it, or neither did."""
    about: str | None = None
    """Name of the estimand or arm concerned, if any."""
    count: Annotated[int | None, Unit("seeds")] = None
    """Number of seeds concerned."""
    seeds: Annotated[tuple[int, ...], Unit("seed indices")] = ()
    """Indices of the seeds concerned, for seed_not_applied."""
