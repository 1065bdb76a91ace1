"""Every attack of the corpus produces its finding; the good trail produces none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import inference, verdict
from harness.errors import UsageError
from harness.ledger import Ledger, start_or_resume
from harness.ledger.audit import CODES, EXIT, AuditReport
from harness.ledger.bodies import RunStartedBody
from harness.pipeline.audit import AuditRequest, Rerun, audit_trail
from harness.pipeline.judge import render_verdict
from harness.pipeline.project import Settings
from harness.pipeline.run_files import read_registered
from harness.pipeline.session import Session
from harness.records import Measurements, Provenance
from tests.attacks.corpus import CORPUS, Attack, better, forged_file, judged, rename_digests
from tests.attacks.trails import Trail, audited, sha, sorts

HARMLESS = {
    "choosable", "not-repeated", "not-asked", "not-rerun", "amended", "stray", "replicated", "nothing-kept",
    "code-not-compared",
}  # fmt: skip
"""What is found in the good trail, too: nothing of it is held against it."""
DRAWN = {
    "run-undrawn", "beacon-otherwise", "draw-of-another", "drawn-otherwise", "drawn-twice", "drawn-again", "same-draw",
    "round-refused", "round-otherwise", "round-known", "round-unverified", "derivation-unknown", "form-unmade",
    "trusts", "key-unknown", "shown-before", "authors-word", "cover-unchecked",
}  # fmt: skip
"""Findings on seeds from a beacon: test_attacks_seeds.py."""
REPEATED = {"repeated-seeds", "repetition-differs", "repetition-unchecked", "repeated-by-author", "repeated"}
"""Findings on repetitions: test_attacks_fresh.py."""
MEASURED = {"measured-otherwise", "measured-unchecked", "measured"}
"""Findings on stored weights that were measured again: test_attacks_measured.py."""
INITIAL = {"initial-otherwise", "initial-unchecked"}
"""Findings on stored weights that runs start from: test_attacks_initial.py."""
LINKED = {"link-untold", "link-otherwise", "link-unchecked", "link-known", "linked", "seeds-by-word"}
"""Findings on runs that were made elsewhere: test_attacks_linked.py."""
EXPLORED = {
    "explored", "explored-otherwise", "explored-unchecked", "explored-differs", "explored-rewritten", "undeclared",
}  # fmt: skip
"""Findings on earlier results that were explored: test_attacks_explored.py."""
PAPERS = {
    "paper-number", "paper-outdated", "paper-figure", "paper-missing", "paper-unreadable", "paper-words",
}  # fmt: skip
"""Findings on papers that were written from a trail: test_attacks_paper.py."""
MEMORY = [attack for attack in CORPUS.values() if not attack.recompute]
RECOMPUTED = [attack for attack in CORPUS.values() if attack.recompute]


def recomputed(root: Path, hypotheses: Path = Path("no hypotheses")) -> AuditReport:
    return audit_trail(root, hypotheses, AuditRequest(recompute=True))


def assert_sound(report: AuditReport) -> None:
    assert not {sort for sort in sorts(report) if sort.startswith("stopped")}
    assert all(finding.what and finding.where and finding.remedy for finding in report.findings)


def test_the_good_trail_is_good(good_trail: Trail) -> None:
    report = audited(good_trail)
    assert sorts(report) <= HARMLESS
    assert report.exit_code == 0
    assert [line.status for line in report.trail] == ["PASS", "NOT CHECKED"]  # no head was given to look for
    assert {line.status for subject in report.hypotheses for line in subject.lines} == {"PASS"}
    assert [subject.counted for subject in report.hypotheses] == [
        "2 started: 1 finished, 1 aborted; 1 pilot",
        "1 started: 1 finished",
    ]
    assert report.head == good_trail.heads()[0]


@pytest.mark.parametrize("attack", MEMORY, ids=lambda attack: attack.name)
def test_an_attack_is_found(attack: Attack, good_trail: Trail) -> None:
    trail = good_trail.copy()
    attack.spoil(trail)
    report = audited(trail)
    assert attack.finds in sorts(report), sorts(report)
    assert_sound(report)
    kinds = {CODES[sort].severity for sort in sorts(report)}
    codes = {EXIT[kind] for kind in kinds} - {0}
    assert report.exit_code == min(codes, default=0)
    if EXIT[CODES[attack.finds].severity]:
        step = CODES[attack.finds].step
        lines = [line for subject in report.hypotheses for line in subject.lines] + list(report.trail)
        assert any(line.step == step and line.status != "PASS" for line in lines)


@pytest.mark.parametrize("attack", RECOMPUTED, ids=lambda attack: attack.name)
def test_an_attack_is_found_by_recomputing(attack: Attack, good_trail: Trail, tmp_path: Path) -> None:
    trail = good_trail.copy()
    attack.spoil(trail)
    before = audited(trail)
    trail.write(tmp_path / "verdicts")
    listed = sorted(tmp_path.rglob("*"))
    report = recomputed(tmp_path / "verdicts")
    assert attack.finds in sorts(report), sorts(report)
    assert_sound(report)
    assert attack.finds not in sorts(before)
    assert sorted(tmp_path.rglob("*")) == listed  # an audit writes nothing
    assert "FAIL" in [line.status for s in report.hypotheses for line in s.lines if line.step == 6]
    assert report.exit_code in (3, 4)


def test_what_is_forged_as_a_whole_is_found_by_a_rerun_alone(good_trail: Trail, tmp_path: Path) -> None:
    """Numbers that were never measured, judged by harness itself, with a ledger to fit: only training again tells."""
    trail = good_trail.copy()
    forged_file(trail, "results.json", better, "second")
    trail.write(tmp_path / "forged" / "verdicts")
    run, judgement = judged(trail, "second")
    ledger = Ledger(tmp_path / "forged" / "verdicts")
    started = ledger.index().start(run)
    assert started is not None
    folder = trail.folder(run)
    measurements = Measurements.model_validate_json(trail.files[f"{folder}/results.json"])
    provenance = Provenance.model_validate_json(trail.files[f"{folder}/env.json"])
    registered = read_registered(ledger, started)
    decision = verdict.word_decision(registered.hypothesis, inference.decide(registered.hypothesis, measurements))
    renamed = {}
    for name, data in render_verdict(registered, measurements, decision, provenance).items():
        renamed[judgement["body"]["files"][name]] = sha(data)
        trail.files[f"{folder}/{name}"] = data
    rename_digests(trail, renamed)
    trail.write(tmp_path / "verdicts")
    asked = AuditRequest(recompute=True, rerun=again(tmp_path, "second"))
    report = audit_trail(tmp_path / "verdicts", Path("none"), asked)
    assert_sound(report)
    first, second = report.hypotheses
    assert [(line.step, line.status) for line in second.lines] == [
        (3, "PASS"),
        (4, "PASS"),
        (5, "PASS"),
        (6, "PASS"),
        (8, "FAIL"),
        (9, "NOT CHECKED"),
    ]
    assert [line.status for line in first.lines if line.step == 8] == ["NOT CHECKED"]  # another one was trained again
    assert "rerun-differs" in sorts(report) and report.exit_code == 4


def again(root: Path, run: str) -> Rerun:
    return Rerun(run, Session.open(root / "hypotheses", Settings(device="cpu")))


def test_a_rerun_that_agrees_passes_and_one_that_cannot_be_is_not_checked(project: Path) -> None:
    for run, expected in (("second", ["NOT CHECKED", "PASS"]), ("nothing", ["NOT CHECKED", "NOT CHECKED"])):
        asked = AuditRequest(rerun=again(project, run))
        report = audit_trail(project / "verdicts", Path("none"), asked)
        lines = [line for subject in report.hypotheses for line in subject.lines if line.step == 8]
        assert [line.status for line in lines] == expected
    assert "rerun-failed" in sorts(report)


def test_every_sort_of_finding_has_an_attack() -> None:
    # test_attacks_git.py, test_attacks_carried.py, test_attacks_hostile.py, test_attacks_looks.py, below,
    # test_attacks_agreement.py, test_attacks_commits.py, test_attacks_anchors.py, test_attacks_page.py,
    # test_attacks_searched.py, test_attacks_given_up.py,
    # test_e2e_listing.py, test_e2e_second.py, and test_e2e_authoring.py
    elsewhere = {
        "line-ends", "left-out", "no-git", "no-repository", "no-commit", "outside-repository", "git-refuses", "ignored",
        "partial", "history-ends",
        "no-history", "shallow", "removed", "changed", "attempts-elsewhere", "events-elsewhere", "other-version",
        "uncommitted", "leftover", "weights-absent", "file-changed", "file-missing", "file-not-compared",
        "registered-elsewhere", "registered-by-another", "not-searched", "nothing-yet", "trust-unused",
        "template-unknown",
        "meaning-unread", "text-unread",  # test_attacks_plugins.py
        "anchor-invalid", "anchor-not-verified", "rerun-differs", "rerun-failed", "look-results",
        "attempts-differ", "code-not-of-commit", "anchored",
        "program-missing", "program-otherwise", "program-unchecked", "output-bytes",  # test_attacks_programs.py
        *DRAWN, *REPEATED, *MEASURED, *INITIAL, *PAPERS, *LINKED, *EXPLORED,
        "tuned",  # test_e2e_tuning.py
        "peeked",  # test_site_view.py
        "company-otherwise", "company-unstarted",  # test_attacks_together.py
        "other-ledger", "ledger-beside", "history-unread", "objects-unread", "resumed", "given-up-late",
    }  # fmt: skip
    harmless = {*HARMLESS, "deviated", "rounded", "redrawn", "figures-not-drawn"}
    stopped = {sort for sort in CODES if sort.startswith("stopped")}
    found = {attack.finds for attack in CORPUS.values()}
    assert set(CODES) - elsewhere - harmless - stopped == found - elsewhere - harmless


def test_a_moved_threshold_in_the_file_is_seen_and_a_comment_is_not(project: Path) -> None:
    file = project / "hypotheses" / "first.yaml"
    text_before = file.read_text()
    for text, sort in (("-80", None), ("-79", "file-changed"), ("oops: [", "file-not-compared")):
        file.write_text("# a comment\n" + text_before.replace("-80", text))
        found = audit_trail(project / "verdicts", project / "hypotheses", AuditRequest())
        assert ({"file-changed", "file-not-compared"} & sorts(found)) == ({sort} if sort else set())


def test_leftovers_and_absent_weights_are_named(project: Path) -> None:
    trail = project / "verdicts"
    (trail / "ledger" / "events" / f".{'0' * 64}.json.abcdef.tmp").write_bytes(b"half an ev")
    for folder in trail.glob("*/*/weights"):
        shutil.rmtree(folder)
    report = audit_trail(trail, project / "hypotheses", AuditRequest())
    assert {"leftover", "weights-absent"} <= sorts(report)
    assert all(line.status == "PASS" for subject in report.hypotheses for line in subject.lines if line.step < 6)


def test_data_that_were_swapped_between_two_starts_are_refused(project: Path) -> None:
    """Whatever their name, size and time: the fingerprint is over what was decoded."""
    ledger = Ledger(project / "verdicts")
    body = next(e.body for e in ledger.events() if e.type == "run_started" and e.body["hypothesis"] == "second")
    attempt = start_or_resume(ledger, RunStartedBody.model_validate(body), resume=True, say=lambda _: None)
    assert (attempt.folder / "work").is_dir()
    swapped = body | {"data": {"digits": "0" * 64}}
    with pytest.raises(UsageError, match="its data changed"):
        start_or_resume(ledger, RunStartedBody.model_validate(swapped), resume=True, say=lambda _: None)
    assert start_or_resume(ledger, RunStartedBody.model_validate(body), resume=True, say=lambda _: None).resumed == 1
