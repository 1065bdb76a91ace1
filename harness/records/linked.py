"""Runs that were made elsewhere and entered afterwards: what an event holds of them, and what a page says of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.records.base import Name, Record, Text
from harness.records.program import Sha256


class Export(Record):
    """A file that tells of runs."""

    name: Text
    """Name of the file, without its folder."""
    form: Name
    """Adapter that reads it."""
    sha256: Sha256
    """SHA-256 of its bytes, which are an object of the trail."""


class Link(Record):
    """The exports that a run was made from in place of training, and what git said of the code that they name."""

    exports: tuple[Export, ...] = Field(min_length=1)
    """The files, in the order in which they were given."""
    commits: dict[str, str] = Field(default_factory=dict)
    """Git commit that a run names → how its code differs from the registered; empty if it doesn't."""
    until: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Time at which they were linked, UTC: none of them can have begun later. None in events from before it was noted.
    """


class LinkedRun(Record):
    """A run that an export tells of, and what became of it here."""

    run: str
    """Id or name of the run there."""
    export: str
    """Name of the file that tells of it."""
    arm: Name | None = None
    """Arm that it is a run of; None if it is of none."""
    seed_index: Annotated[int | None, Unit("1")] = None
    """Position of its seed among the registered ones, counted from 0; None if it is none of them."""
    started: str = ""
    """Time at which it says it began."""
    fate: Literal["counted", "excluded", "rejected"]
    """counted: it stands for its seed; excluded: a rule of the file leaves it out; rejected: it can't count."""
    why: str = ""
    """Reason; of one that counts, how it failed, if it did."""


class LinkedRuns(Record):
    """The account of all runs that were linked."""

    exports: tuple[Export, ...]
    """The files that tell of them."""
    since: str
    """Time before which no run could have known what was registered, UTC."""
    runs: tuple[LinkedRun, ...]
    """Every run of every file, in their order."""
    missing: tuple[str, ...] = ()
    """Registered seeds without a run that counts, one clause each."""
    varying: tuple[str, ...] = ()
    """Parameters that the hypothesis doesn't name and that differ between runs that count, with their values."""
    untold: Annotated[int, Unit("runs")] = 0
    """Number of runs that count and don't say which code they ran."""

    def count(self, fate: str) -> int:
        """Return the number of runs of a fate."""
        return sum(run.fate == fate for run in self.runs)
