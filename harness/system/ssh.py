"""Asks ssh-keygen, which makes and checks SSH signatures."""

from __future__ import annotations

import subprocess

from harness.errors import HarnessError, UsageError

SECONDS = 60


def keygen(*arguments: str, data: bytes = b"", where: str | None = None) -> bytes:
    """Return what ssh-keygen writes on its standard output; ``where`` is what asks, for messages.

    Raises:
        UsageError: there is no ssh-keygen.
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
        raise HarnessError(f"ssh-keygen refused: {said}", where=where, remedy="check the key and its passphrase")
    return done.stdout
