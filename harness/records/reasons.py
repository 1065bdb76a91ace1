"""Why an outcome is what it is, as data: ``harness.inference`` finds it, ``harness.verdict`` words it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.records.base import Record


class Reason(Record):
    """What gave the outcome."""

    kind: Literal[
        "pilot", "seed_not_applied", "diverged", "without_value", "guard_violated", "guard_unverified", "decisions"
    ]
    """pilot: there is no outcome; decisions: they gave it; guard_unverified: it is inconclusive; else it is invalid."""
    seeds: Annotated[dict[str, int], Unit("seeds")] = Field(default_factory=dict)
    """Arm, or for ``without_value`` estimand → how many of its seeds are concerned."""
    measured: Annotated[int, Unit("seeds")]
    """Number of seeds that were judged."""


class Holding(Record):
    """Why a combination by all or any gives its outcome."""

    rule: Literal["all", "any"]
    """Whether all decisions must hold, or one of them."""
    count: Annotated[int, Unit("decisions")]
    """Number of decisions."""
    outcome: str
    """Outcome that the file gives if they hold."""
    otherwise: str
    """Outcome that it gives if they do not."""
    given: str
    """Outcome that the decisions give: one of these two, or inconclusive."""
    p: Annotated[float | None, Unit("probability")]
    """p of the outcome that is given, before the factor for planned looks; None where nothing is shown."""
    shown: Annotated[dict[str, float] | None, Unit("probability")]
    """Decision → p after Holm, where a decision on the other side gives the outcome; None elsewhere."""


class LookedUp(Record):
    """Why a table gives its outcome."""

    rule: Literal["table"] = "table"
    """The kind of combination."""
    alive: dict[str, tuple[str, ...]]
    """Decision that the table names → its bands that are not excluded."""
    options: tuple[str, ...]
    """Outcomes that are left, in alphabetical order."""
    given: str
    """The only one of them, or inconclusive."""
    p: Annotated[float | None, Unit("probability")]
    """p of the outcome that is given, before the factor for planned looks; None where several are left."""


class Notice(Record):
    """A circumstance that a reader must know."""

    kind: Literal[
        "pilot", "other_number", "two_seeds", "all_alike", "left_out", "stood_in", "seed_not_applied", "after_look"
    ]
    """other_number: not as many seeds as registered; two_seeds: of a t test; all_alike: seeds do not differ; left_out,
    stood_in: seeds without a value, or with the worst one; seed_not_applied: in an arm that decides nothing;
    after_look: seeds that were measured after the look that ended the run."""
    about: str | None = None
    """Estimand or arm, where it is about one."""
    count: Annotated[int | None, Unit("seeds")] = None
    """Number of seeds concerned."""
    seeds: Annotated[tuple[int, ...], Unit("seed indices")] = ()
    """The seeds concerned, of seed_not_applied."""
