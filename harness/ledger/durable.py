"""Writing a file once, for good: it appears whole under its name or not at all, and is never overwritten."""

from __future__ import annotations

from pathlib import Path

from harness.system.storage import place_new, write_beside


def publish(path: Path, data: bytes) -> None:
    """Write ``data`` under ``path``, a name made of their digest, read-only and durably.

    Temporary file → write → fsync → link to the final name → fsync of the folder. A link, unlike a rename, never
    replaces a file; where there are no links, see ``place_new``. If the name is taken, its content is the same or it
    was tampered with, which readers find.

    Raises:
        StorageFailed: a full disk or a missing permission. Nothing is left behind.
    """
    with write_beside(path, 0o444, data) as temporary:
        place_new(temporary, path)
