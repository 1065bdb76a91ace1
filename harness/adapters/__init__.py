"""Adapters, which read the results that other people's tools write, for programs that don't write any of their own.

An adapter turns bytes into points and decides nothing: which of them are measurements, and whether they are valid, is
said by the file and by the rules of ``harness.programs.parse``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from harness.plugins.registry import Plugin

LARGEST = 2**23
"""Most bytes that are read of what a tool wrote."""


class BadRecord(Exception):
    """Bytes that the tool doesn't write; the message says why, without anything that differs between machines.

    Raised in ``read``, it is stored in results.json and compared when the results are read again, so its words stay.
    """


class Point(NamedTuple):
    """A number that a tool noted."""

    name: str
    """Name by which the tool calls it."""
    at: float
    """Epoch, from 1; or the tool's step, of an adapter that counts steps."""
    value: float
    """The number, which may be NaN or infinite."""


class ToldRun(NamedTuple):
    """A run as an export tells it, of which nothing was seen."""

    name: str
    """Id by which the tool calls it, or its name."""
    seed: int | None
    """Seed that it says it used; None if it says none, or no whole number."""
    started: str
    """Time at which it says it began; empty if it says none."""
    ended: str
    """End that it came to: finished, diverged, failed, killed, preempted, or another word of the tool's."""
    parameters: Mapping[str, Any]
    """Parameter → value, of all that it tells."""
    metrics: Mapping[str, Any]
    """Metric → the last number, or ``{"epochs": […], "value": […]}`` as in a results file."""
    arm: str | None = None
    """Arm that it says it is of."""
    commit: str | None = None
    """Git commit of the code that it says it ran."""
    diverged_epoch: Any = None
    weights_sha256: Any = None


class Adapter(Plugin):
    """Interface of an adapter plug-in."""

    tool: ClassVar[str]
    """Name of the tool that writes such files, for messages."""
    counts_steps: ClassVar[bool] = False
    """True if points are at the tool's steps, of which the file says how many make an epoch."""
    tells_runs: ClassVar[bool] = False
    """True if such a file tells of several runs: for ``harness link``, as ``RunsAdapter``, and no form of results."""

    @abstractmethod
    def read(self, raw: bytes) -> Iterator[Point]:
        """Yield the numbers in what ``gather`` returned, in any order. Bytes may be anything.

        Raises:
            BadRecord: They are not what the tool writes, or were cut off.
        """

    def gather(self, folder: Path, place: str) -> bytes | None:
        """Return the bytes at a place below a program's results, which may hold ``*``; None if not one file is there.

        Of a file that is too large, more than ``LARGEST`` bytes are returned.
        """
        found = find_one(folder, place)
        if found is None or not found.is_file():
            return None
        with found.open("rb") as file:
            return file.read(LARGEST + 1)


class RunsAdapter(Adapter):
    """Interface of an adapter for files that tell of several runs: for ``harness link``, and no form of results."""

    tells_runs: ClassVar[bool] = True
    apart: ClassVar[bool] = True
    """True if such a file tells parameters and metrics apart."""

    @abstractmethod
    def read_runs(self, raw: bytes) -> Iterator[ToldRun]:
        """Yield the runs, in the order of the file. Bytes may be anything.

        Raises:
            BadRecord: They are not what the tool writes, or were cut off.
        """

    def read(self, raw: bytes) -> Iterator[Point]:
        """Refuse to read one run's results."""
        raise BadRecord(f"{self.tool} tells of several runs, and one is asked for")


def find_one(folder: Path, place: str) -> Path | None:
    """Return the only path below a folder that fits a place; None if there is none or are several, or it leads out."""
    found = list(islice(folder.glob(place), 2))
    inside = len(found) == 1 and found[0].resolve().is_relative_to(folder.resolve())
    return found[0] if inside and not found[0].is_symlink() else None
