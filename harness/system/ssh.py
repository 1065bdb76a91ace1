"""Asks ssh-keygen, which makes and checks SSH signatures, and reads what it writes."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator

from harness.errors import HarnessError, UsageError

SECONDS = 60
BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
"""The lines around a signature, which is base64 in between."""
NAMELESS = "No user exists for uid"
"""Beginning of ssh-keygen's answer, whatever it is asked, to a user that the system has no entry for."""
MAGIC = b"SSHSIG" + (1).to_bytes(4, "big")
"""Begins every signature: its kind and its version."""


def keygen(*arguments: str, data: bytes = b"", where: str | None = None) -> bytes:
    """Return what ssh-keygen writes on its standard output; ``where`` is what asks, for messages.

    Raises:
        UsageError: there is no ssh-keygen, or it does nothing for this user.
        HarnessError: it refused, with what it says.
    """
    try:
        done = subprocess.run(["ssh-keygen", *arguments], input=data, capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise UsageError("there is no ssh-keygen here", where=where, remedy="install OpenSSH") from None
    except subprocess.TimeoutExpired as error:
        raise HarnessError("ssh-keygen did not answer", where=where, remedy="unlock the key first: ssh-add") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        if said.startswith(NAMELESS):
            problem = f"ssh-keygen does nothing for a user that this system has no entry for (uid {os.geteuid()})"
            raise UsageError(problem, where=where, remedy="run as a user that `getent passwd` lists")
        raise HarnessError(f"ssh-keygen refused: {said}", where=where, remedy="check the key and its passphrase")
    return done.stdout


def read_signer(armoured: bytes, namespace: str) -> bytes | None:
    """Return the public key that a signature names; None if it is none of the form that ssh-keygen writes.

    ssh-keygen takes others for good as well: an older version, and bytes in the field that is reserved and that nobody
    signs. Two files would then be the same signature. The form is SSHSIG, version 1, then five strings: the public key,
    the namespace, nothing, a hash's name, the signature.
    """
    body, ended, beyond = armoured.replace(b"\r\n", b"\n").removeprefix(BEGIN).partition(END.rstrip())
    if not (armoured.startswith(BEGIN.rstrip()) and ended) or beyond.strip():
        return None
    try:
        blob = base64.b64decode(body.replace(b"\n", b""), validate=True)
    except ValueError:
        return None
    if not blob.startswith(MAGIC):
        return None
    parts = list(split_strings(blob.removeprefix(MAGIC)))
    known = len(parts) == 5 and parts[1:3] == [namespace.encode(), b""] and parts[3] in (b"sha512", b"sha256")
    return parts[0] if known and None not in parts else None


def split_strings(data: bytes) -> Iterator[bytes | None]:
    """Yield the strings that stand one after the other, each behind its length in 4 bytes; None for a broken one."""
    while data:
        size = int.from_bytes(data[:4], "big")
        yield data[4 : 4 + size] if len(data) >= 4 + size else None
        data = data[4 + size :]
