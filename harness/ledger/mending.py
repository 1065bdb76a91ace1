"""Files that something honest changed: git's conversion of line ends, an editor, a fixer of blanks at their ends.

What was written is known by its digest. If the bytes that are here come to that digest once line ends, the final line
end or a byte-order mark are put back, or if they differ from git's own copy in nothing but blanks, then nobody forged
them: the original is at hand, and ``harness audit --restore`` writes it back.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

from harness.ledger import carried
from harness.ledger.git import git
from harness.system.reading import LARGEST_SETTINGS, read_regular
from harness.system.storage import write_atomic, write_beside

LARGEST = 64 * 2**20
BLANKS = re.compile(rb"[ \t\r\f\v]+(?=\n|\Z)")
MARK = b"\xef\xbb\xbf"
ATTRIBUTE = "** -text"
CHANGED = "its line ends or trailing blanks were changed, by git's autocrlf, an editor or a fixer, and nothing else"
COMMITS = 10
"""Versions in git among which a copy as it was written is looked for."""
MESSAGE = "-m 'The trail as it was written' -- ."


def list_variants(data: bytes) -> Iterator[bytes]:
    """Yield what a file could have been before its line ends, its last line end or its byte-order mark were changed."""
    if len(data) > LARGEST:
        return
    plain = data.replace(b"\r\n", b"\n")
    bases = dict.fromkeys((data, plain, plain.replace(b"\n", b"\r\n"), BLANKS.sub(b"", plain)))
    for base in bases:
        yield base
        body = base.rstrip(b"\r\n")
        yield body
        yield body + b"\n"
        yield body + b"\r\n"
        yield base + b"\n"
    yield data.removeprefix(MARK)
    yield MARK + data


def undo(data: bytes, digest: str) -> bytes | None:
    """Return the bytes of this digest that ``data`` were made of by a change of line ends; None if they were not."""
    return next((one for one in list_variants(data) if hashlib.sha256(one).hexdigest() == digest), None)


def find_original(root: Path, path: str, data: bytes, digest: str) -> bytes | None:
    """Return the bytes of this digest, by ``undo`` or from git, if ``data`` differ from them in blanks only."""
    if (found := undo(data, digest)) is not None or len(data) > LARGEST:
        return found
    kept = next((copy for copy in _copies(root, path) if hashlib.sha256(copy).hexdigest() == digest), None)
    return kept if kept is not None and _bare(kept) == _bare(data) else None


def find_unnamed_original(root: Path, path: str, data: bytes) -> bytes | None:
    """Return what git has of a file whose digest nothing names, as a pilot's, if ``data`` differ in blanks only."""
    kept = list(_copies(root, path)) if len(data) <= LARGEST else []
    return next((copy for copy in kept if _bare(copy) == _bare(data)), None) if data not in kept else None


def _copies(root: Path, path: str) -> Iterator[bytes]:
    """Yield a file as HEAD and the newest commits that changed it have it."""
    commits = git(root, "rev-list", f"--max-count={COMMITS}", "HEAD", "--", path) or b""
    for commit in dict.fromkeys(("HEAD", *commits.decode().split())):
        if (kept := git(root, "cat-file", "blob", f"{commit}:./{path}")) is not None:
            yield kept


def write_repair(root: Path) -> str:
    """Write the command that writes files back as they were, wherever it is given."""
    return f"harness audit --restore --verdicts {quote(str(root.absolute()))}"


def restore(root: Path, files: Mapping[str, bytes]) -> None:
    """Write files back as they were written, and have git keep them so. ``files``: path below the trail → bytes.

    Raises:
        StorageFailed: a full disk or a missing permission. Each file is whole, as it was or as it is to be.
    """
    if not files:
        return
    carried.prepare(root)
    for path, data in files.items():
        with write_beside(root / path, stat.S_IMODE((root / path).stat().st_mode), data) as temporary:
            temporary.replace(root / path)
    attributes = root / ".gitattributes"
    lines = read_regular(attributes, LARGEST_SETTINGS).splitlines()
    if lines[-1:] != [ATTRIBUTE.encode()] and not is_protected(root, next(iter(files))):
        write_atomic(attributes, b"\n".join([*lines, ATTRIBUTE.encode(), b""]))


def write_commit(root: Path) -> str | None:
    """Write the command that commits what git finds other in the trail than it has; None if it finds nothing."""
    if not git(root, "status", "--porcelain", "--", "."):
        return None
    inside = f"git -C {quote(str(root.absolute()))}"
    return f"{inside} add . && {inside} commit {MESSAGE}"


def write_renormalising(root: Path, path: str) -> str:
    """Write the command that commits the trail's files as they are here, which are right where git's copies are not."""
    inside = f"git -C {quote(str(root.absolute()))}"
    protect = write_protection(root, path)
    rule = f" && {inside} add .gitattributes" if protect or (root / ".gitattributes").exists() else ""
    return f"{protect}{inside} add --renormalize .{rule} && {inside} commit {MESSAGE}"


def write_protection(root: Path, path: str) -> str:
    """Begin a command by what keeps git from converting the trail's files again; empty if something does already."""
    if is_protected(root, path):
        return ""
    return f"printf '%s\\n' {quote(ATTRIBUTE)} >> {quote(str(root.absolute() / '.gitattributes'))} && "


def is_protected(root: Path, path: str) -> bool:
    """Tell whether git converts no line ends of a file."""
    return (git(root, "check-attr", "-z", "text", "--", path) or b"").endswith(b"\0unset\0")


def advise(file: Path, root: Path, data: bytes, digest: str) -> str | None:
    """Write the command that repairs a file of a trail if only its line ends or blanks were changed; else None."""
    path = Path(os.path.relpath(file, root)).as_posix()
    return write_repair(root) if find_original(root, path, data, digest) is not None else None


def _bare(data: bytes) -> bytes:
    """Strip a text of blanks at the ends of its lines, empty lines at its end, and a byte-order mark."""
    return BLANKS.sub(b"", data.removeprefix(MARK)).rstrip(b"\n")
