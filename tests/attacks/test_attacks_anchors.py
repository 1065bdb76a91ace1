"""Signatures over heads: step 7 verifies them with the keys that the reader trusts."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import ledger
from harness.ledger.audit import AuditReport, TrustedInputs
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.project import Settings
from harness.pipeline.register import register_hypothesis
from harness.pipeline.session import Session
from harness.system.ssh import BEGIN, END
from tests.attacks.corpus import without
from tests.attacks.trails import Trail, sha, sorts
from tests.e2e.projects import run_file
from tests.ssh import needs_ssh_keygen

pytestmark = needs_ssh_keygen


def audited(root: Path, **kept: Any) -> AuditReport:
    return audit_trail(root / "verdicts", Path("none"), AuditRequest(TrustedInputs(**kept)))


def status(report: AuditReport) -> str:
    (line,) = [line for line in report.trail if line.step == 7]
    return line.status


@pytest.fixture
def key(tmp_path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", str(tmp_path / "key")]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path / "key"


def test_a_signature_counts_if_its_key_is_trusted(project: Path, key: Path, tmp_path: Path) -> None:
    (anchored,) = ledger.sign(ledger.Ledger(project / "verdicts"), key)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
    assert status(audited(project)) == "NOT CHECKED"
    assert "anchor-not-verified" in sorts(audited(project))
    assert audited(project, require_anchor=True).exit_code == 5
    trusted = audited(project, require_anchor=True, allowed_signers=signers)
    assert status(trusted) == "PASS"
    assert not {"no-anchor", "nothing-kept"} & sorts(trusted)
    assert anchored.body.head in ledger.Ledger(project / "verdicts").events()[-1].parents


def test_a_forged_signature_and_one_by_another_key_are_found(project: Path, key: Path, tmp_path: Path) -> None:
    trail = ledger.Ledger(project / "verdicts")
    (anchored,) = ledger.sign(trail, key)
    signers = tmp_path / "signers"
    signers.write_text(
        "ada@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"
    )
    assert "anchor-invalid" in sorts(audited(project, allowed_signers=signers))
    forged = b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    spoiled = Trail.read(project / "verdicts")
    spoiled.rebuild(without(anchored.digest))
    head = anchored.body.head
    spoiled.files[f"ledger/anchors/{head}.sig"] = forged
    spoiled.append("anchored", anchored.body.model_dump() | {"file": sha(forged)})
    spoiled.write(tmp_path / "spoiled" / "verdicts")
    found = audited(tmp_path / "spoiled")
    assert "anchor-invalid" in sorts(found) and found.exit_code == 3
    assert status(found) == "FAIL"


def told(report: AuditReport, code: str) -> list[str]:
    return [finding.what for finding in report.findings if finding.code == code]


def test_a_late_anchor_says_how_late_it_is(project: Path, key: Path, tmp_path: Path) -> None:
    """Anchored after the verdicts, the registrations are as good as anchored before them to whoever reads PASS."""
    trail = ledger.Ledger(project / "verdicts")
    (anchored,) = ledger.sign(trail, key)
    text = (project / "hypotheses/second.yaml").read_text().replace("id: second", "id: third")
    (project / "hypotheses/third.yaml").write_text(text)
    register_hypothesis(project / "hypotheses/third.yaml", Session.open(project / "hypotheses", Settings(device="cpu")))
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
    (what,) = told(audited(project, allowed_signers=signers), "anchored")
    assert f"a signature by {anchored.body.by} over head {anchored.body.head}, entered 20" in what
    covered = f"it covers {len(trail.events()) - 2} events: first (registered, 2 attempts, 1 verdict), "
    assert covered + "second (registered, 1 attempt, 1 verdict)" in what
    assert what.endswith("; and not what came later, the registration of third")
    (what,) = told(
        audited(project), "anchor-not-verified"
    )  # nobody vouches for it, and yet it says what it would cover
    assert covered in what and anchored.body.head in what


def test_a_page_names_the_anchors_that_cover_its_registration(project: Path, key: Path) -> None:
    """Whoever reads "registered at" on a page can't see on whose word."""
    (before,) = project.glob("verdicts/second/*/verdict.md")
    assert "rests on the author's word" in before.read_text()
    (anchored,) = ledger.sign(ledger.Ledger(project / "verdicts"), key)
    report = run_file(project / "hypotheses/second.yaml")
    page = (report.folder / "verdict.md").read_text()
    assert f"signature with {anchored.body.by}, over head `{anchored.body.head[:32]}`, which covers the regis" in page
    assert "page-otherwise" not in sorts(audited(project))


def older_version(blob: bytes) -> bytes:
    return blob.replace(b"SSHSIG" + (1).to_bytes(4, "big"), b"SSHSIG" + (0).to_bytes(4, "big"), 1)


def used_reserve(blob: bytes) -> bytes:
    """Words in the field after the namespace, which nobody signs."""
    namespace = len(b"harness-ledger-head").to_bytes(4, "big") + b"harness-ledger-head"
    words = b"and also of anything else"
    return blob.replace(namespace + bytes(4), namespace + len(words).to_bytes(4, "big") + words, 1)


@pytest.mark.parametrize("change", [older_version, used_reserve])
def test_a_signature_in_another_form_is_found_though_ssh_keygen_takes_it(
    project: Path, key: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    """Whoever may write one signature in many ways can give what was signed once another file, and another digest."""
    (anchored,) = ledger.sign(ledger.Ledger(project / "verdicts"), key)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
    assert status(audited(project, allowed_signers=signers)) == "PASS"
    spoiled = Trail.read(project / "verdicts")
    name = f"ledger/anchors/{anchored.body.head}.sig"
    blob = base64.b64decode(spoiled.files[name].removeprefix(BEGIN).removesuffix(END))
    assert change(blob) != blob
    spoiled.files[name] = BEGIN + base64.encodebytes(change(blob)) + END
    spoiled.rebuild(without(anchored.digest))
    spoiled.append("anchored", anchored.body.model_dump() | {"file": sha(spoiled.files[name])})
    spoiled.write(tmp_path / "spoiled" / "verdicts")
    found = audited(tmp_path / "spoiled", allowed_signers=signers)
    assert "anchor-invalid" in sorts(found) and found.exit_code == 3
