"""A witness's statement verifies with their SSH key, everything else is refused. All are signed by ssh-keygen here."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.beacons import Registered
from harness.beacons.witness import BEGIN, END, NAMESPACE, Witness
from harness.errors import HarnessError, UsageError
from tests.ssh import needs_ssh_keygen
from tests.unit.beacons.beacons_vectors import DIGEST, registered

TIME = datetime(2026, 11, 29, 4, 0, 0, tzinfo=UTC)
KINDS = (("ed25519", "256"), ("ecdsa", "256"), ("rsa", "3072"))
Key = tuple[Path, str]

pytestmark = needs_ssh_keygen


def make_key(folder: Path, name: str, kind: str = "ed25519", bits: str = "256") -> Key:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", "", "-f", folder / name], check=True)
    return folder / name, " ".join((folder / f"{name}.pub").read_text(encoding="ascii").split()[:2])


def statement(digest: str = DIGEST, time: datetime = TIME, nonce: str = "7a" * 32) -> bytes:
    return f"harness witness 1\nregistration {digest}\ntime {time:%Y-%m-%dT%H:%M:%SZ}\nnonce {nonce}\n".encode()


def sign(key: Key, data: bytes, namespace: str = NAMESPACE, *more: str) -> bytes:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key[0], *more]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def refused(beacon: Witness, data: bytes, made: Registered, match: str) -> None:
    with pytest.raises(HarnessError, match=match) as caught:
        beacon.verify(data, made)
    assert caught.value.where == "beacon witness" and caught.value.remedy


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    made = {kind: make_key(folder, kind, kind, bits) for kind, bits in KINDS}
    return made | {"rogue": make_key(folder, "rogue")}


@pytest.fixture(scope="module")
def beacon(keys: dict[str, Key]) -> Witness:
    return Witness(name="witness", signer=f"ada@example.org {keys['ed25519'][1]}")


@pytest.fixture(scope="module")
def kept(keys: dict[str, Key]) -> bytes:
    return statement() + sign(keys["ed25519"], statement())


@pytest.fixture(scope="module")
def made(beacon: Witness) -> Registered:
    return registered(TIME - timedelta(microseconds=1), beacon)


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS])
def test_a_statement_verifies(keys: dict[str, Key], kind: str) -> None:
    beacon = Witness(name="witness", signer=f"ada@example.org {keys[kind][1]}")
    data = statement() + sign(keys[kind], statement())
    assert beacon.kept(data) == data  # as ssh-keygen writes it
    drawn = beacon.verify(data, registered(TIME - timedelta(seconds=1), beacon))
    assert drawn.value == hashlib.sha256(statement()).digest() and drawn.time == TIME
    assert drawn.round == "statement of ada@example.org, of 2026-11-29 04:00:00 UTC"


def test_the_instructions_make_it(keys: dict[str, Key], beacon: Witness, tmp_path: Path) -> None:
    made = Registered(DIGEST, datetime.now(UTC) - timedelta(days=1))
    text = beacon.instructions(made).split("\n", 1)[1].replace("~/.ssh/id_ed25519", str(keys["ed25519"][0]))
    subprocess.run(["sh", "-e", "-c", text], cwd=tmp_path, check=True, capture_output=True)
    assert len(beacon.verify(beacon.kept((tmp_path / "answer").read_bytes()), made).value) == 32


def test_every_changed_byte_is_refused(beacon: Witness, kept: bytes, made: Registered) -> None:
    for at in range(len(kept)):
        for change in (0x01, 0x20):
            changed = kept[:at] + bytes([kept[at] ^ change]) + kept[at + 1 :]
            with pytest.raises(HarnessError):
                beacon.verify(changed, made)


def test_every_changed_byte_of_the_signature_is_refused(beacon: Witness, kept: bytes, made: Registered) -> None:
    head, _, rest = kept.partition(BEGIN)
    blob = base64.b64decode(rest.removesuffix(END))
    for at in range(len(blob)):
        changed = blob[:at] + bytes([blob[at] ^ 1 << at % 8]) + blob[at + 1 :]
        data = beacon.kept(head + BEGIN + base64.b64encode(changed) + b"\n" + END)
        with pytest.raises(HarnessError):
            beacon.verify(data, made)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_other_bytes_are_refused(beacon: Witness, kept: bytes, made: Registered, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(kept)))
    end = data.draw(st.integers(start, min(len(kept), start + 40)))
    changed = kept[:start] + data.draw(st.binary(max_size=40)) + kept[end:]
    if changed != kept:
        with pytest.raises(HarnessError):
            beacon.verify(changed, made)


def test_statements_for_other_registrations_and_before_it_are_refused(
    beacon: Witness, kept: bytes, made: Registered, keys: dict[str, Key]
) -> None:
    refused(
        beacon, kept, Registered("60" * 32, made.time), "a statement for the registration 5f5f5f5f5f5f, not for 6060"
    )
    refused(beacon, kept, registered(TIME, beacon), "which is not after")
    refused(beacon, kept, registered(TIME + timedelta(days=1), beacon), "which is not after")
    for told in ("2026-02-30T04:00:00Z", "2026-11-29T24:00:00Z", "0000-01-01T00:00:00Z"):
        other = statement().replace(b"2026-11-29T04:00:00Z", told.encode())
        refused(beacon, other + sign(keys["ed25519"], other), made, "is not a time")


def test_other_keys_and_purposes_are_refused(
    beacon: Witness, made: Registered, keys: dict[str, Key], kept: bytes
) -> None:
    refused(beacon, statement() + sign(keys["rogue"], statement()), made, "not by the key of ada@example.org")
    refused(beacon, statement() + sign(keys["ed25519"], statement(), "harness-ledger-head"), made, "not made for")
    refused(beacon, statement() + sign(keys["ed25519"], statement(nonce="7b" * 32)), made, "does not verify")
    other_hash = statement() + sign(keys["ed25519"], statement(), NAMESPACE, "-O", "hashalg=sha256")
    assert beacon.verify(other_hash, made).value == beacon.verify(kept, made).value
    # A rogue's signature that claims to be by the witness's key.
    blob = base64.b64decode(sign(keys["rogue"], statement()).removeprefix(BEGIN).removesuffix(END))
    keys_bytes = [base64.b64decode(keys[name][1].split()[1]) for name in ("rogue", "ed25519")]
    forged = base64.b64encode(blob.replace(*keys_bytes))
    refused(beacon, beacon.kept(statement() + BEGIN + forged + b"\n" + END), made, "does not verify")


def test_signatures_of_other_forms_are_refused(beacon: Witness, kept: bytes, made: Registered) -> None:
    """ssh-keygen itself reads version 0, and a reserved field that is not empty."""
    head, _, rest = kept.partition(BEGIN)
    blob = base64.b64decode(rest.removesuffix(END))
    empty = blob.index(b"sha512") - 8
    for changed in (
        blob.replace(b"SSHSIG\0\0\0\1", b"SSHSIG\0\0\0\0"),
        blob[:empty] + b"\0\0\0\1x" + blob[empty + 4 :],
        blob + b"\0\0\0\0",
        blob + b"\xff",
        blob[:-1],
        blob[:20],
    ):
        assert changed != blob
        data = beacon.kept(head + BEGIN + base64.b64encode(changed) + b"\n" + END)
        refused(beacon, data, made, "not by the key|does not verify")


def test_a_signature_written_otherwise_gives_no_other_value(beacon: Witness, kept: bytes, made: Registered) -> None:
    """Anybody can write an Ed25519 signature with S + L in place of S, which ssh-keygen reads."""
    head, _, rest = kept.partition(BEGIN)
    blob = base64.b64decode(rest.removesuffix(END))
    order = 2**252 + 27742317777372353535851937790883648493
    other = blob[:-32] + (int.from_bytes(blob[-32:], "little") + order).to_bytes(32, "little")
    data = beacon.kept(head + BEGIN + base64.b64encode(other) + b"\n" + END)
    assert data != kept
    try:
        drawn = beacon.verify(data, made)
    except HarnessError:
        return  # an ssh-keygen that is stricter
    assert drawn == beacon.verify(kept, made)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        statement(),
        statement() + BEGIN,
        statement() + BEGIN + b"not base64!\n" + END,
        statement() + BEGIN + END,
        b"\n" + statement() + BEGIN + b"AAAA\n" + END,
        statement() + BEGIN + b"AAAA\n" + END + b"more",
        statement().replace(b"witness 1", b"witness 2") + BEGIN + b"AAAA\n" + END,
        statement().replace(b"nonce 7a", b"nonce 7A") + BEGIN + b"AAAA\n" + END,
        statement().replace(b"nonce 7a", b"nonce ") + BEGIN + b"AAAA\n" + END,
        statement() + b"note x\n" + BEGIN + b"AAAA\n" + END,
    ],
)
def test_what_is_no_answer_says_why(beacon: Witness, made: Registered, answer: bytes) -> None:
    refused(beacon, answer, made, "not a witness's statement with an SSH signature below it")


def test_a_statement_has_one_record(beacon: Witness, kept: bytes, made: Registered) -> None:
    head, _, rest = kept.partition(BEGIN)
    one_line = head + BEGIN + rest.removesuffix(END).replace(b"\n", b"") + b"\n" + END
    for answer in (kept.replace(b"\n", b"\r\n"), one_line, kept + b"\n"):
        assert beacon.kept(answer) == kept
        refused(beacon, answer, made, "not in the form that a trail keeps")


@pytest.mark.parametrize(
    "change",
    [
        lambda line: "",
        lambda line: line.split(" ", 1)[1],
        lambda line: f"{line} ada@laptop",
        lambda line: f"{line}\n{line}",
        lambda line: f"* {line.split(' ', 1)[1]}",
        lambda line: f"-x {line.split(' ', 1)[1]}",
        lambda line: f"ada,bob {line.split(' ', 1)[1]}",
        lambda line: line.replace("ada@example.org ", "ada@example.org cert-authority "),
        lambda line: line.replace("ada@example.org ", 'ada@example.org namespaces="x" '),
        lambda line: line.replace("ssh-ed25519", "ssh-rsa"),
        lambda line: line[:-3],
        lambda line: line.rsplit(" ", 1)[0] + " AAAA",
    ],
)
def test_a_signer_is_three_words(beacon: Witness, change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValidationError):
        Witness(name="witness", signer=change(beacon.signer))


def test_without_ssh_keygen_it_says_what_is_missing(
    beacon: Witness, kept: bytes, made: Registered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no ssh-keygen here") as caught:
        beacon.verify(kept, made)
    assert caught.value.remedy == "install OpenSSH"
