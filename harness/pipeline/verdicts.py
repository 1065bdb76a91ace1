"""A judged run with the decision that its verdict.json holds: what exports, comparisons and notebooks read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from harness import ledger
from harness.errors import HarnessError
from harness.ledger import Ledger, StartedRun
from harness.pipeline.run_files import StoredRun, read_file, read_run
from harness.records import Decision, Registered


@dataclass(frozen=True)
class JudgedRun:
    """A judged run, its files compared with the digests in the ledger."""

    run: StartedRun
    """The event that started it."""
    stored: StoredRun
    """Files of the run."""
    decision: Decision
    """The decision in its verdict.json."""

    @property
    def deviations(self) -> tuple[str, ...]:
        """Return what it did otherwise than registered, one sentence each, without what concerns wording alone."""
        return ledger.keep_meaningful(self.run.body.deviations)


def read_judged_run(trail: Ledger, name: str, under: Callable[[StartedRun], Registered] | None = None) -> JudgedRun:
    """Read the run of the last verdict on a hypothesis, or the judged run whose first digits are ``name``.

    ``under``: as for ``read_run``.

    Raises:
        UsageError: nothing of that name was judged, or a file is missing.
        Tampered: the files are not those that the ledger names.
        HarnessError: its verdict.json has no form that is known here.
    """
    run = ledger.find_judged(trail, name)
    stored = read_run(trail, run.digest, under)
    try:
        verdict = json.loads(read_file(stored.folder / "verdict.json"))
        return JudgedRun(run, stored, Decision.model_validate(verdict["decision"]))
    except (ValueError, KeyError, TypeError, ValidationError) as error:  # by whoever had the ledger name its digest
        where = f"{run.hypothesis}/{run.name}/verdict.json"
        raise HarnessError(
            f"this is not a verdict of a form that is known here: {type(error).__name__}", where=where
        ) from error
