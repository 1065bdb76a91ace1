"""Verdicts and histories as they are stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ledger
from harness.ledger import Ledger, StartedRun
from harness.ledger.seeding import CHOOSABLE
from harness.pipeline.claims import write_banners
from harness.pipeline.run_files import read_file, refuse_altered


def read_history(name: str, trail: Ledger) -> tuple[ledger.Moment, ...]:
    """Read the life of a hypothesis in the trail.

    Raises:
        UsageError: the trail has nothing about it.
    """
    return ledger.read_timeline(trail, name)


@dataclass(frozen=True)
class Page:
    """A verdict as it is stored, and what later verdicts did to the claims that it moved."""

    hypothesis: str
    """The hypothesis's id."""
    run: str
    """The run's short name."""
    path: Path
    """The file."""
    text: str
    """Its content, Markdown."""
    verdict: dict[str, Any] | None
    """The same as numbers: its verdict.json, if that was asked for."""
    banners: tuple[str, ...]
    """Markdown quotations, to be shown above it."""


def read_verdict(name: str, trail: Ledger, *, numbers: bool = False) -> Page:
    """Read the last verdict on a hypothesis, or that on a run; with ``numbers``, its verdict.json too.

    Raises:
        UsageError: nothing of that name was judged, or its file is missing.
    """
    run = ledger.find_judged(trail, name)
    folder = trail.root / run.folder
    recorded = ledger.list_recorded_files(trail, run.digest)
    wanted = ("verdict.md", "verdict.json") if numbers else ("verdict.md",)
    refuse_altered(folder, {file: recorded[file] for file in wanted})
    text = read_file(folder / "verdict.md").decode()
    return Page(
        hypothesis=run.hypothesis,
        run=run.name,
        path=folder / "verdict.md",
        text=text,
        verdict=json.loads(read_file(folder / "verdict.json")) if numbers else None,
        banners=(*write_banners(trail, run), *_write_seeds(trail, run, text)),
    )


def _write_seeds(trail: Ledger, run: StartedRun, text: str) -> tuple[str, ...]:
    """Return a banner on seeds that the author could have chosen, for pages from before they said so themselves."""
    body = ledger.find_registration_of(trail.index(), run)
    if body.beacon is not None or body.hand_picked_seeds or CHOOSABLE in text:
        return ()
    return (f"> **{CHOOSABLE.capitalize()}**: they follow from the registration alone.",)
