"""Signatures over heads: step 7 verifies them with the keys that the reader trusts."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import ledger
from harness.ledger.audit import AuditReport, Kept
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.system.ssh import BEGIN, END
from tests.attacks.corpus import without
from tests.attacks.trails import Trail, sha, sorts

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


def audited(root: Path, **kept: object) -> AuditReport:
    return audit_trail(root / "verdicts", Path("none"), AuditRequest(Kept(**kept)))  # type: ignore[arg-type]


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
