"""Runs made elsewhere, as far as the ledger tells: that they were, and since when they could be."""

from __future__ import annotations

from harness.ledger.bodies import AmendedBody, RunStartedBody, SeededBody
from harness.ledger.index import LedgerIndex
from harness.ledger.seeding import read_time
from harness.records.linked import Link

OUTSIDE = "trained outside harness"
"""Beginning of the deviation that names what was made elsewhere."""


def describe_link(link: Link) -> str:
    """Say of a run that it was made elsewhere, as its deviations name it."""
    names = ", ".join(file.name for file in link.exports)
    return f"{OUTSIDE}, and told by {names}: numbers, seeds, times and code rest on the word of whoever told them"


def describe_deviating(run: RunStartedBody) -> str:
    """Say in a word or two that a run deviates, for lists."""
    return "deviates" if run.linked is None else f"deviates: {OUTSIDE}"


def find_since(index: LedgerIndex, registration: str, run: str | None = None) -> str:
    """Return the time before which nobody could know seeds and meaning: of the registration, its draw, or an amendment.

    ``run``: the event of a run, before which they count; None: all that there are.
    """
    first = index.entry(registration)
    assert first is not None, "a run names its registration"
    hypothesis = index.subject(registration) or ""
    times = [first.claimed_time]
    for entry in (*index.of(hypothesis, AmendedBody), *index.of(hypothesis, SeededBody)):
        in_words = isinstance(entry.body, AmendedBody) and entry.body.kind == "comment"
        if not in_words and (run is None or index.before(entry.digest, run)):
            times.append(entry.claimed_time)
    return max(times, key=read_time)
