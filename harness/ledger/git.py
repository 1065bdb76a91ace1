"""What git knows about the code and the person. Without git, or outside a repository, nothing: None."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

SECONDS = 30


def git(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Standard output of a git command that changes nothing and is ``given`` something to read.

    None if it fails, takes too long or there is no git.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=given,
            capture_output=True,
            timeout=SECONDS,
            check=True,
            env={**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def actor(folder: Path) -> str:
    """Who acts: git's ``user.name`` if there is one, else the user's name on this system; never an e-mail address."""
    name = (git(folder, "config", "user.name") or b"").decode(errors="replace").strip()
    if name and "@" not in name:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this user id, as in some containers
        return "unknown"
