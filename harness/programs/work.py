"""The program, its files and its limits: all that a run of a program needs besides the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.records.program import Program, Results


@dataclass(frozen=True)
class Work:
    """All that a run needs besides the plan: the program, its files, and the number of replicas at a time."""

    program: Program
    results: Results
    frozen: Mapping[str, tuple[int, bytes]]
    """Path below the project → mode and content of every file of the code."""
    inputs: Mapping[str, Path]
    """Input → where it is."""
    root: Path
    """The project's folder, below which opened files are told by their path."""
    environment: Mapping[str, str]
    """The user's environment, of which a command is given what its file names."""
    parallel: int = 1
    """Largest number of replicas that run at a time."""
    patience: float = 0.0
    """Seconds to wait for a request to stop after a replica was ended from outside: a scheduler that ends a job ends
    all of its processes, in any order."""
    gpus: int = 0
    """Number of cards that each replica has for itself; 0: all see the user's."""
    cards: tuple[str, ...] = ()
    """The cards that are given out."""
