"""Heads stamped by a real OpenSSL authority and signed with real SSH keys, all made here."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.errors import HarnessError, UsageError
from harness.ledger import Ledger, sign, stamp, verify_anchors
from harness.ledger.anchors import find_anchor, read_event_bytes
from tests.authorities import command, make_authority, serve_stamps
from tests.ssh import needs_ssh_keygen

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.fixture
def served(authority: Path) -> Iterator[Callable[[bytes | None], str]]:
    """The authority behind HTTP; or, if it is given a reply, one that always says the same."""
    with ExitStack() as stack:
        yield lambda reply=None: stack.enter_context(serve_stamps(authority, reply))


@pytest.fixture
def begun(ledger: Ledger) -> Ledger:
    ledger.append("pilot", {"hypothesis": "small", "settings": {"epochs": 1}})
    return ledger


@openssl
def test_a_head_is_stamped_and_the_stamp_verifies(begun, served, authority, tmp_path):
    (head,) = begun.heads()
    url = served()
    (event,) = stamp(begun, url)
    assert event.body.head == head and event.body.by == url and begun.heads() == (event.digest,)
    (check,) = verify_anchors(begun, roots=authority / "root.pem")
    assert (check.status, check.problem, check.head) == ("verified", None, head)
    assert check.time is not None and check.time.startswith("20") and event.body.time == check.time
    (unrooted,) = verify_anchors(begun)
    assert unrooted.status == "unchecked" and "no roots" in unrooted.problem
    # The same with nothing but OpenSSL, as the module says:
    said = command("openssl", "ts", "-verify", "-data", begun.folder / f"{head}.json",
                   "-in", find_anchor(begun, head, "tsa"), "-CAfile", authority / "root.pem")  # fmt: skip
    assert b"OK" in said
    other = make_authority(tmp_path / "another")
    (foreign,) = verify_anchors(begun, roots=other / "root.pem")
    assert foreign.status == "wrong" and "does not verify" in foreign.problem
    with pytest.raises(UsageError, match="no PEM certificates"):
        verify_anchors(begun, roots=tmp_path / "nothing.pem")


@openssl
def test_a_stamp_of_another_time_than_its_event_tells_is_wrong(begun, served, authority):
    (event,) = stamp(begun, served())
    (begun.folder / f"{event.digest}.json").unlink()
    begun.append("anchored", {**event.body.model_dump(), "time": "2020-01-01T00:00:00Z"})
    (check,) = verify_anchors(begun, roots=authority / "root.pem")
    assert (
        check.status == "wrong" and check.problem == f"it is of {check.time}, and its event says 2020-01-01T00:00:00Z"
    )


@openssl
def test_a_stamp_of_something_else_is_refused_and_found(begun, served, authority, tmp_path):
    (head,) = begun.heads()
    other = tmp_path / "other"
    other.write_bytes(b"another event")
    command("openssl", "ts", "-query", "-data", other, "-sha256", "-cert", "-out", tmp_path / "other.tsq")
    reply = command(
        "openssl", "ts", "-reply", "-config", authority / "openssl.cnf", "-queryfile", tmp_path / "other.tsq"
    )
    with pytest.raises(HarnessError, match="other bytes"):
        stamp(begun, served(reply))
    stamp(begun, served())
    path = find_anchor(begun, head, "tsa")
    good = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(reply)
    assert verify_anchors(begun, roots=authority / "root.pem")[0].problem.endswith("not the file that the ledger names")
    path.unlink()
    assert verify_anchors(begun)[0].problem.endswith("is missing")
    path.write_bytes(good)
    assert verify_anchors(begun, roots=authority / "root.pem")[0].status == "verified"


@openssl
def test_a_replayed_reply_and_a_broken_one_are_refused(begun, served):
    stamp(begun, served())
    first = find_anchor(begun, begun.events()[0].digest, "tsa").read_bytes()
    for reply, said in ((first, "other bytes"), (b"<html>", "not a reply"), (b"", "not a reply")):
        with pytest.raises(HarnessError, match=said):
            stamp(begun, served(reply))
    assert len(begun.events()) == 2


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "file:///etc/passwd", "http://", "https://me:word@example.org/tsr"]
)
def test_what_is_no_address_is_refused(begun, url):
    with pytest.raises(UsageError, match="not the address"):
        stamp(begun, url)


def test_an_authority_that_does_not_answer_changes_nothing(begun):
    with pytest.raises(HarnessError, match="did not answer"):
        stamp(begun, "http://127.0.0.1:9/tsr")
    assert len(begun.events()) == 1


def test_an_empty_ledger_has_nothing_to_anchor(ledger):
    with pytest.raises(UsageError, match="empty"):
        stamp(ledger, "http://127.0.0.1:9/tsr")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    made = []
    for name in ("ada", "eve"):
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@machine", "-f", tmp_path / name)
        made.append(tmp_path / name)
    return made[0], made[1]


@needs_ssh_keygen
def test_a_head_is_signed_and_the_signature_verifies(begun, keys, tmp_path):
    ada, eve = keys
    (head,) = begun.heads()
    (event,) = sign(begun, ada)
    assert event.body.by.startswith("SHA256:") and "machine" not in str(event.body)
    (unknown,) = verify_anchors(begun)
    assert unknown.status == "unchecked" and "no allowed signers" in unknown.problem
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ada@example.org {ada.with_suffix('.pub').read_text()}")
    (check,) = verify_anchors(begun, allowed_signers=allowed)
    assert (check.status, check.problem) == ("verified", None)
    # The same with nothing but ssh-keygen, as the module says:
    said = command("ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "ada@example.org", "-n", "harness-ledger-head",
                   "-s", find_anchor(begun, head, "ssh"), data=read_event_bytes(begun, head))  # fmt: skip
    assert b"Good" in said
    allowed.write_text(f"eve@example.org {eve.with_suffix('.pub').read_text()}")
    (refused,) = verify_anchors(begun, allowed_signers=allowed)
    assert refused.status == "wrong" and "not among the allowed signers" in refused.problem


@needs_ssh_keygen
def test_a_signature_by_another_key_or_of_other_bytes_is_wrong(begun, keys):
    """Somebody replaces the signature and forges the event that names it: its key or its bytes tell."""
    ada, eve = keys
    (head,) = begun.heads()
    (event,) = sign(begun, ada)
    path = find_anchor(begun, head, "ssh")

    def replaced(signature: bytes) -> str:
        path.chmod(0o644)
        path.write_bytes(signature)
        (begun.folder / f"{begun.heads()[0]}.json").unlink()
        forged = {**event.body.model_dump(), "file": hashlib.sha256(signature).hexdigest()}
        begun.append("anchored", forged)
        (check,) = verify_anchors(begun)
        assert check.status == "wrong"
        return check.problem

    signed = ("ssh-keygen", "-Y", "sign", "-n", "harness-ledger-head")
    assert "not by the key" in replaced(command(*signed, "-f", eve, data=read_event_bytes(begun, head)))
    assert "not a signature of this head" in replaced(command(*signed, "-f", ada, data=b"other"))
    other_use = ("ssh-keygen", "-Y", "sign", "-n", "file", "-f", ada)
    assert "not a signature of this head" in replaced(command(*other_use, data=read_event_bytes(begun, head)))


@needs_ssh_keygen
def test_every_head_is_anchored_after_a_merge(begun, keys, plant):
    (one,) = begun.heads()
    other = plant(begun, [])
    events = sign(begun, keys[0])
    assert {event.body.head for event in events} == {one, other}
    assert begun.heads() == (events[-1].digest,)
    assert [check.status for check in verify_anchors(begun)] == ["unchecked", "unchecked"]


@needs_ssh_keygen
def test_a_file_left_by_a_killed_process_is_taken_over(begun, keys):
    sign(begun, keys[0])
    (begun.folder / f"{begun.heads()[0]}.json").unlink()  # it was killed before it appended the event
    sign(begun, keys[0])
    assert [check.status for check in verify_anchors(begun)] == ["unchecked"]


@needs_ssh_keygen
def test_a_key_that_is_not_there(begun, tmp_path):
    with pytest.raises(UsageError, match="no such key"):
        sign(begun, tmp_path / "nowhere")
