"""Attempts whose replicas train in cohorts with those of others, and these others."""

from __future__ import annotations

from collections.abc import Mapping

from harness.ledger.index import Entered, StartedRun


def find_company(trail: Entered, run: StartedRun) -> Mapping[str, StartedRun | None]:
    """Find the attempts that share cohorts with an attempt: hypothesis → the last that was started with this company.

    None stands for a hypothesis of which no such attempt was started.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    others = [one.hypothesis for one in run.body.together if one.hypothesis != run.hypothesis]
    found: dict[str, StartedRun | None] = dict.fromkeys(others)
    if others:
        for start in trail.index().starts():
            if start.hypothesis in found and start.body.together == run.body.together:
                found[start.hypothesis] = start
    return found
