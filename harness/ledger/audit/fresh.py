"""Step 9: repetitions with seeds that the author of a run could not know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pydantic import ValidationError

from harness.domain.normal_form import encode_normal_form
from harness.errors import HarnessError
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.index import Entry, StartedRun
from harness.ledger.rerun_bodies import RepeatedBody
from harness.ledger.seeding import derive_from_nonce
from harness.records import Hypothesis, Measurements

PROMISE = "it was repeated with seeds its author could not know"


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check every repetition, and name the hypotheses that nobody but their author repeated."""
    index = evidence.index
    for entry in index.entries(RepeatedBody):
        if (run := index.start(entry.body.run)) is not None:  # else step 3 names it
            yield from _check_repetition(evidence, entry, run)
    for hypothesis in index.hypotheses:
        runs = [run for run in index.starts(hypothesis) if index.verdict(run.digest) is not None]
        known = {run.digest: run.event.actor for run in runs}
        repeated = [entry for entry in index.entries(RepeatedBody) if entry.body.run in known]
        where = evidence.files.shown(hypothesis)
        if runs and not repeated:
            what = "nobody repeated it: harness replicate RUN --fresh NONCE"
            yield AuditFinding("not-repeated", what, where, hypothesis=hypothesis)
        elif runs and all(entry.event.actor == known[entry.body.run] for entry in repeated):
            what = "only whoever ran it repeated it, by the names in the ledger"
            yield AuditFinding("repeated-by-author", what, where, hypothesis=hypothesis)


def _check_repetition(evidence: Evidence, entry: Entry[RepeatedBody], run: StartedRun) -> Iterator[AuditFinding]:
    """Check that a repetition is of the run's normal form, after its verdict, with the seeds of its nonce."""
    index, body, hypothesis = evidence.index, entry.body, run.hypothesis
    where = evidence.at(entry.digest)
    verdict = index.verdict(run.digest)
    if verdict is None or not index.before(verdict.digest, entry.digest):
        what = "this repetition is not after the verdict on its run"
        yield AuditFinding("repeated-seeds", what, where, hypothesis=hypothesis)
        return
    form, data = evidence.form(run.body.canonical), evidence.object(body.results)
    try:
        if data is None or form is None:
            raise FileNotFoundError("its results, or the form of its hypothesis, are not here as they were kept")
        measured = Measurements.model_validate_json(data)
        owed = hashlib.sha256(encode_normal_form(Hypothesis.model_validate(form))).hexdigest()
    except (OSError, ValidationError, HarnessError) as error:
        what = f"this repetition could not be checked: {str(error).splitlines()[0]}"
        yield AuditFinding("repetition-unchecked", what, where, hypothesis=hypothesis)
        return
    registered = (measured.hypothesis, measured.registration) == (hypothesis, run.body.registration)
    if not (
        registered
        and owed == body.form
        and len(measured.seeds) == len(run.body.seeds)
        and measured.seeds == derive_from_nonce(body.form, body.nonce, len(measured.seeds))
    ):
        what = "this repetition's seeds do not follow from its run's normal form and its nonce"
        yield AuditFinding("repeated-seeds", what, where, owed, body.form, hypothesis)
        return
    agrees = f"it does not agree: {'; '.join(body.differences)}" if body.differences else "it agrees"
    what = (
        f"run {run.name} was repeated by {entry.event.actor} with seeds from the nonce {body.nonce}: {body.outcome}, "
        f"by the verdict {verdict.body.outcome}; {agrees}"
    )
    yield AuditFinding("repeated", what, where, hypothesis=hypothesis)
