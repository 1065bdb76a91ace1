"""SSH signatures over the bytes of a head's event file, made and checked by ``ssh-keygen -Y``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import HarnessError, UsageError
from harness.ledger.evidence import Found
from harness.system.ssh import keygen, read_signer

NAMESPACE = "harness-ledger-head"
"""Purpose that ssh-keygen signs along with the head: a signature made for something else does not pass."""
OPTION = "--sign"


def read_fingerprint(key: Path) -> str:
    """Return a key's fingerprint, "SHA256:…"; without its comment, which often names a machine.

    Raises:
        UsageError: there is no such key, no ssh-keygen, or it does nothing for this user.
        HarnessError: it is no key.
    """
    if not key.is_file():
        raise UsageError("there is no such key", where=str(key), remedy="ssh-keygen -t ed25519 makes one")
    return keygen("-l", "-f", str(key), where=OPTION).split()[1].decode()


def make_signature(key: Path, data: bytes) -> bytes:
    """Sign ``data`` with a private key, or with a public one whose private part an agent holds.

    Raises:
        UsageError: there is no ssh-keygen, or it does nothing for this user.
        HarnessError: it refused.
    """
    return keygen("-Y", "sign", "-f", str(key), "-n", NAMESPACE, data=data, where=OPTION)


def check_signature(signature: bytes, data: bytes, by: str, allowed_signers: Path | None) -> Found:
    """Check that a signature is of ``data`` with the key of fingerprint ``by``, which ``allowed_signers`` know."""
    if read_signer(signature, NAMESPACE) is None:
        return Found("wrong", "it is not a signature of this head in the form that ssh-keygen writes")
    with TemporaryDirectory(prefix="harness-anchor-") as folder:
        file = Path(folder, "signature")
        file.write_bytes(signature)
        return _ask(file, data, by, allowed_signers)


def _ask(file: Path, data: bytes, by: str, allowed_signers: Path | None) -> Found:
    named = ("-n", NAMESPACE, "-s", str(file))
    try:
        # Good "harness-ledger-head" signature with ED25519 key SHA256:…
        if by not in keygen("-Y", "check-novalidate", *named, data=data, where=OPTION).decode().split():
            return Found("wrong", f"it is not by the key that the ledger names, {by}")
    except UsageError as error:
        return Found("unchecked", error.message, remedy=error.remedy)
    except HarnessError:
        return Found("wrong", "it is not a signature of this head")
    if allowed_signers is None:
        return Found("unchecked", "no allowed signers were given that vouch for the key", fits=True)
    signers = ("-f", str(allowed_signers))
    try:
        principal = keygen("-Y", "find-principals", *signers, "-s", str(file)).decode().splitlines()[0]
        keygen("-Y", "verify", *signers, "-I", principal, *named, data=data)
    except HarnessError:
        return Found("wrong", f"its key, {by}, is not among the allowed signers", fits=True)
    return Found("verified", fits=True)
