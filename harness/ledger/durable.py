"""Writing a file once, for good: it appears whole under its name or not at all, and is never overwritten."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from harness.storage import storage_failed, sync_folder


def publish(path: Path, data: bytes) -> None:
    """Write ``data`` under ``path``, a name made of their digest, read-only and durably.

    Temporary file → write → fsync → link to the final name → fsync of the folder. A link, unlike a rename, never
    replaces a file. If the name is taken, its content is the same or it was tampered with, which readers find.

    Raises:
        StorageFailed: a full disk or a missing permission. Nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise storage_failed(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
