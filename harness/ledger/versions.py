"""Every version of a file that git's history ever held, by blob id: no content is read, no configuration counts."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

from harness.ledger.git import ask, git

LOG = (
    "log", "--raw", "--no-abbrev", "--no-renames", "--root", "--full-history", "--diff-merges=separate",
    "--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-relative", "-z", "--format=commit %H",
)  # fmt: skip
OWN = (
    "--no-replace-objects",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.commitGraph=false",
)  # fmt: skip
"""Settings of every call: no replaced objects, no graph beside them, and no helpers of the repository's own."""
RAW = re.compile(r":(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) [A-Z]\d*")

Versions = dict[str, dict[str, str]]
"""Path → blob id → a commit that has it."""


def list_versions(
    folder: Path, prefix: str, *commits: str, files: str = ".", how: tuple[str, ...] = ()
) -> tuple[Versions | None, str]:
    """Find every version that these commits ever had of every file; None, and why, if git does not answer.

    Every commit is compared with each of its parents, so that what a merge threw away is seen as well.

    ``folder``: where git is asked; ``prefix``: the beginning of the paths that count, which is cut off; ``files``: a
    pathspec; ``how``: options of git itself.

    The commit beside a version is the newest that brought it; of one that was only seen as it was taken away,
    as in a shallow clone, the one that took it.
    """
    answer = ask(folder, *OWN, *how, *LOG, *commits, "--", files)
    if answer.out is None:
        return None, answer.said or answer.state
    brought: Versions = defaultdict(dict)
    taken: Versions = defaultdict(dict)
    commit = ""
    fields = iter(os.fsdecode(answer.out).split("\0"))
    for field in fields:
        for line in field.split("\n"):
            if line.startswith("commit "):
                commit = line.removeprefix("commit ")
            elif match := RAW.fullmatch(line):
                path = next(fields, "")
                mode_before, mode_after, before, after = match.groups()
                if path.startswith(prefix):
                    for found, mode, blob in ((brought, mode_after, after), (taken, mode_before, before)):
                        if blob.strip("0") and mode != "160000":
                            found[path.removeprefix(prefix)].setdefault(blob, commit)
    for path, blobs in taken.items():
        for blob, commit in blobs.items():
            brought[path].setdefault(blob, commit)
    return brought, ""


def read_contents(folder: Path, blobs: list[str], how: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Read blobs that are here by one process; a partial clone lacks some. ``how``: options of git itself."""
    output = git(folder, *OWN, *how, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs).encode())
    found: dict[str, bytes] = {}
    rest = output or b""
    for blob in blobs:
        head, _, rest = rest.partition(b"\n")
        if len(fields := head.split()) == 3:
            size = int(fields[2])
            found[blob] = rest[:size]
            rest = rest[size + 1 :]
    return found
