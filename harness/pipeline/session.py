"""The session that every use case works in: the project, its trail, the settings, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ledger import Ledger
from harness.pipeline.project import Project, Settings, find_project
from harness.records import Decision, Hypothesis

if TYPE_CHECKING:
    from harness.domain.trained import Progress


@dataclass(frozen=True)
class Reporter:
    """A listener that hears of progress and may stop a run."""

    say: Callable[[str], None] = lambda _: None
    """Takes a sentence for the user."""
    progress: Callable[[Progress], None] = lambda _: None
    """Takes how far training has come."""
    stop: Callable[[], bool] = lambda: False
    """Tells whether training is to stop with a checkpoint."""
    idle: Callable[[], object] = lambda: None
    """Called once an epoch while a card computes, for a part of other work."""
    training: Callable[[], AbstractContextManager[None]] = nullcontext
    """Surrounds training: inside, whoever asks to stop waits for a checkpoint."""
    allow: Callable[[str, tuple[str, ...]], bool] = lambda _, __: False
    """Asks whether the commands of a hypothesis, given by its id, may run on this machine."""
    heed: Callable[[], None] = lambda: None
    """Called between stages: raises if somebody asked to stop and that was lost, as Python drops it in a callback."""


@dataclass(frozen=True)
class Session:
    """One command at work in one project."""

    project: Project
    """The project, made once from a file or folder and the settings."""
    settings: Settings = field(default_factory=Settings)
    """Options of the command that don't belong to the project, such as ``resume``."""
    reporter: Reporter = field(default_factory=Reporter)
    """The listener that hears of progress."""

    @classmethod
    def open(cls, path: Path, settings: Settings | None = None, reporter: Reporter | None = None) -> Session:
        """Open a session in the project that a file or folder belongs to.

        Raises:
            UsageError: a setting is empty or cannot be read.
        """
        settings = Settings() if settings is None else settings
        return cls(find_project(path, settings), settings, Reporter() if reporter is None else reporter)

    @cached_property
    def trail(self) -> Ledger:
        """Return the project's trail, which need not be there yet.

        Raises:
            UsageError: git was told to leave it out here.
        """
        return self.project.open_trail()


@dataclass(frozen=True)
class Report:
    """The end of a run."""

    hypothesis: Hypothesis
    """The hypothesis that was tested."""
    decision: Decision
    """The decision on it."""
    folder: Path
    """The run's folder."""
    head: str
    """The ledger's head: who keeps it can later show that nothing before it was changed."""
