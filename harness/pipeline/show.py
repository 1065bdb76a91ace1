"""Verdicts and histories as they are stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ledger
from harness.domain.templates import describe_unknown
from harness.ledger import Ledger, StartedRun
from harness.ledger.seeding import CHOOSABLE
from harness.pipeline.claims import write_banners
from harness.pipeline.run_files import read_file, refuse_altered
from harness.wording import WATERMARK


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
    outcome: str
    """The outcome that the ledger holds."""
    path: Path
    """The file."""
    text: str
    """Content of the file, Markdown."""
    verdict: dict[str, Any] | None
    """Content of verdict.json, the page's numbers; None unless it was asked for."""
    banners: tuple[str, ...]
    """Markdown quotations, to be shown above it; first what the ledger says, if the page might say anything."""


def read_verdict(name: str, trail: Ledger, *, numbers: bool = False) -> Page:
    """Read the last verdict on a hypothesis, or that on a run; with ``numbers``, its verdict.json too.

    Raises:
        UsageError: nothing of that name was judged, or its file is missing.
    """
    run = ledger.find_judged(trail, name)
    folder = trail.root / run.folder
    entered = trail.index().verdict(run.digest)
    assert entered is not None
    recorded = ledger.list_recorded_files(trail, run.digest)
    refuse_altered(folder, {file: recorded[file] for file in ("verdict.md", "verdict.json")})
    stored = json.loads(read_file(folder / "verdict.json"))
    text = read_file(folder / "verdict.md").decode()
    return Page(
        hypothesis=run.hypothesis,
        run=run.name,
        outcome=entered.body.outcome,
        path=folder / "verdict.md",
        text=text,
        verdict=stored if numbers else None,
        banners=(
            *_write_doubt(run, entered.body.outcome, stored),
            *write_banners(trail, run),
            *_write_seeds(trail, run, text),
            *_write_measured(trail, run),
            *_write_explored(trail, run),
        ),
    )


def _write_doubt(run: StartedRun, outcome: str, stored: object) -> tuple[str, ...]:
    """Write what the ledger says, above a page that may say anything; ``stored`` is its verdict.json.

    It holds ids and digests only, nothing that a file's author could have formatted.
    """
    told = stored if isinstance(stored, dict) else {}
    doubt = describe_unknown(run.body.pins.templates, told.get("v", ""))
    if doubt is None and told.get("outcome") != outcome:
        doubt = "its verdict.json names another outcome"
    if doubt is None:
        return ()
    return (f"> **THE LEDGER'S OUTCOME IS `{outcome}`**. The page below says what its author lets it say: {doubt}.",)


def _write_seeds(trail: Ledger, run: StartedRun, text: str) -> tuple[str, ...]:
    """Return a banner on seeds that the author could have chosen, for pages from before they said so themselves."""
    body = ledger.find_registration_of(trail.index(), run)
    if body.beacon is not None or body.hand_picked_seeds or CHOOSABLE in text:
        return ()
    return (f"> **{CHOOSABLE.capitalize()}**: they follow from the registration alone.",)


def _write_explored(trail: Ledger, run: StartedRun) -> tuple[str, ...]:
    """Return a banner on earlier results that were explored under the same id, which are prior data."""
    index = trail.index()
    found = [
        entry
        for entry in ledger.list_explorations(trail, run.hypothesis)
        if index.before(entry.digest, run.body.registration)
    ]
    if not found:
        return ()
    named = ", ".join(f"`{ledger.name_run(entry.digest)}`" for entry in found)
    return (f"> **Earlier results were explored**, {WATERMARK}: {named}. They are prior data to this verdict.",)


def _write_measured(trail: Ledger, run: StartedRun) -> tuple[str, ...]:
    """Return a banner on what was measured since on the run's stored weights, which decides nothing."""
    found = ledger.list_measurements(trail, run.digest)
    if not found:
        return ()
    keys = list(dict.fromkeys(key for entry in found for key in entry.body.metrics))
    named = ", ".join(f"`{key}`" for key in keys)
    numbers = ", ".join(f"`objects/sha256/{entry.body.results}`" for entry in found)
    told = f"{named}. This is exploratory and decides nothing; the numbers are in {numbers}"
    return (f"> **Measured again since, on stored weights**: {told}.",)
