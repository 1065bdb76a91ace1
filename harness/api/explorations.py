"""Explorations as objects: results that existed before a registration, read against its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.pipeline.explored import Explored


class Exploration:
    """A reading of results that existed already. It is no verdict: it has no outcome, and moves no claim."""

    def __init__(self, explored: Explored) -> None:
        """Take an exploration that the ledger holds."""
        self._explored = explored

    @property
    def mark(self) -> str:
        """Words that belong beside everything that is shown of it."""
        from harness.wording import WATERMARK

        return WATERMARK

    @property
    def hypothesis(self) -> str:
        """Id of the hypothesis against whose file they were read."""
        return self._explored.hypothesis

    @property
    def name(self) -> str:
        """First digits of its event, by which a later registration declares it."""
        return self._explored.name

    @property
    def time(self) -> str:
        """Claimed time of the event, UTC."""
        return self._explored.time

    @property
    def would_be(self) -> str:
        """Outcome that the file's rules would give: exploratory, whatever it is."""
        return self._explored.body.would_be

    @property
    def seeds(self) -> int:
        """Number of seeds that the runs have."""
        return self._explored.body.seeds

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that tell of the runs."""
        return tuple(file.name for file in self._explored.body.exports)

    @property
    def report(self) -> str:
        """The report, Markdown."""
        return self._explored.report

    def __repr__(self) -> str:
        return f"<{self.hypothesis}, {self.mark}: {self.name}, would be {self.would_be}>"

    def _repr_markdown_(self) -> str:
        return self.report
