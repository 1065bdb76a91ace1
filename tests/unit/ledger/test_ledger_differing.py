"""Which stored deviations are more than a difference in words, whatever the form that they were written in."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ledger import CodeDifferences, Ledger, find_deviating, keep_meaningful, list_attempts, read_timeline
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.claims import list_moves

REPOSITORY = Path(__file__).parents[3]
TEMPLATE = "the template verdict.md.j2 differs from the registered one"
IN_WORDS = (
    TEMPLATE,
    "the template verdict.md.j2 is used and was not registered",
    "the template old.j2 was registered and is not used",
    f"{TEMPLATE}, amended after run 0123456789ab started: a\nnicer page",
    "only words differ: the template verdict.md.j2",
    *CodeDifferences(words="the template verdict.md.j2; harness 0.1 → 0.2").in_words,
)
IN_MORE = (
    "harness's own code differs from that of attempt b776e8c24565: e0317cccb57d → 0b56d51793e4",
    "harness's own code differs from the registered one: e0317cccb57d → 0b56d51793e4",
    "harness 0.1.0 was registered, this is 0.2.0",
    "the code of rules/dfa differs from the registered one",
    "the code that judges differs from the registered one (criteria/t): the judgement could differ",
    "the claim the-template was changed after the registration; its registered form is used",
    "the data of digits differ from those at registration: 0123456789ab → ba9876543210",
    f"setup.epochs: 8 → 9, amended after run 0123456789ab started: {TEMPLATE}",
    f"a line of our own; {TEMPLATE}",
)


@pytest.mark.parametrize("line", IN_WORDS)
def test_a_template_and_what_only_writes_are_words(line: str) -> None:
    assert keep_meaningful([line]) == ()
    assert keep_meaningful([line, IN_MORE[0]]) == (IN_MORE[0],)


@pytest.mark.parametrize("line", IN_MORE)
def test_whatever_else_was_told_is_more_than_words(line: str) -> None:
    assert keep_meaningful([line]) == (line,)


def test_all_readers_of_a_trail_call_the_same_stored_runs_deviating() -> None:
    """Of this repository's trail: two runs differ in the template alone, two in harness's own code as well."""
    expected = {"65f2e4c2d262", "ef76524e2b5f"}
    in_words = {"76d31344c971", "53b4b3e5bcd6"}
    trail = Ledger(REPOSITORY / "verdicts")
    hypotheses = ("mode2-direction", "bp-penalty-control")
    assert expected | in_words <= {one.run for name in hypotheses for one in list_attempts(trail, name)}
    assert {run for name in hypotheses for run in find_deviating(trail, name)} == expected
    assert {move.run for move in list_moves(trail) if move.deviated} == expected
    report = audit_trail(trail.root, REPOSITORY / "hypotheses", AuditRequest())
    told = {run for one in report.hypotheses for run, outcome in one.outcomes.items() if "deviates" in outcome}
    assert told == expected
    noted = [finding.what for finding in report.findings if finding.code == "deviated"]
    assert len(noted) == 2 and not any("template" in what for what in noted)
    moments = [moment for name in hypotheses for moment in read_timeline(trail, name) if moment.type == "run_started"]
    details = {moment.digest[:12]: moment.details for moment in moments}
    assert {run for run, lines in details.items() if any(line.startswith("deviates: ") for line in lines)} == expected
    assert all(details[run] == (f"in what is meant for words only: {TEMPLATE}",) for run in in_words)
