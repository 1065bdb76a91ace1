"""Files that something honest changed: git's conversion of line ends, an editor, a fixer of blanks at their ends.

What was written is known by its digest. If the bytes that are here come to that digest once line ends, the final line
end or a byte-order mark are put back, or if they differ from git's own copy in nothing but blanks, then nobody forged
them: the original is at hand, and a command of git's puts it back.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

from harness.ledger.carried import put_back
from harness.ledger.git import Repository, git, repository

LARGEST = 64 * 2**20
BLANKS = re.compile(rb"[ \t\r\f\v]+(?=\n|\Z)")
MARK = b"\xef\xbb\xbf"
ATTRIBUTE = "** -text"
CHANGED = "its line ends or trailing blanks were changed, by git's autocrlf, an editor or a fixer, and nothing else"
COMMITS = 500
"""How far back a copy as it was written is looked for."""


def variants(data: bytes) -> Iterator[bytes]:
    """What a file could have been before its line ends, its final line end or its byte-order mark were changed."""
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


def undone(data: bytes, digest: str) -> bytes | None:
    """The bytes of this digest that ``data`` were made of by a change of line ends; None if they were not."""
    return next((one for one in variants(data) if hashlib.sha256(one).hexdigest() == digest), None)


def original(root: Path, path: str, data: bytes, digest: str) -> bytes | None:
    """The bytes of this digest, by ``undone`` or from HEAD, if ``data`` differ from them in nothing but blanks."""
    if (found := undone(data, digest)) is not None or len(data) > LARGEST:
        return found
    kept = git(root, "cat-file", "blob", f"HEAD:./{path}")
    if kept is None or hashlib.sha256(kept).hexdigest() != digest:
        return None
    return kept if _bare(kept) == _bare(data) else None


def repair(root: Path, changed: Mapping[str, str]) -> str:
    """The command that puts files back as they were written. ``changed``: path below the trail → digest."""
    where = repository(root)
    if where.commit is None or where.top is None:
        return "get the trail from another clone, or from whoever ran it"
    protect = protection(root, next(iter(changed)))
    commit = _commit_with(root, where, changed)
    if commit is not None:
        return f"{protect}{put_back(where, commit)}"
    inside = f"git -C {quote(str(root.absolute()))}"
    return (
        "no commit has them as they were written: where they still are, as on the machine that wrote them, give the "
        f"following, and then pull: {protect}{inside} add --renormalize . && "
        f"{inside} commit -m 'The trail as it was written'"
    )


def protection(root: Path, path: str) -> str:
    """The beginning of a command: what keeps git from converting the trail's files again; empty if something does."""
    text = git(root, "check-attr", "-z", "text", "--", path) or b""
    if text.endswith(b"\0unset\0"):
        return ""
    return f"printf '%s\\n' {quote(ATTRIBUTE)} >> {quote(str(root.absolute() / '.gitattributes'))} && "


def _commit_with(root: Path, where: Repository, changed: Mapping[str, str]) -> str | None:
    """HEAD, or the newest commit below it, that has all these files as they were written."""
    if _right("HEAD", root, changed):
        return "HEAD"
    listed = git(root, "rev-list", f"--max-count={COMMITS}", "HEAD", "--", ".") or b""
    return next((commit for commit in listed.decode().split() if _right(commit, root, changed)), None)


def _right(commit: str, root: Path, changed: Mapping[str, str]) -> bool:
    for path, digest in changed.items():
        kept = git(root, "cat-file", "blob", f"{commit}:./{path}")
        if kept is None or hashlib.sha256(kept).hexdigest() != digest:
            return False
    return True


def advice(file: Path, root: Path, data: bytes, digest: str) -> str | None:
    """The command that repairs a file of a trail if only its line ends or blanks were changed; else None."""
    path = Path(os.path.relpath(file, root)).as_posix()
    return repair(root, {path: digest}) if original(root, path, data, digest) is not None else None


def _bare(data: bytes) -> bytes:
    """A text without blanks at the ends of its lines, empty lines at its end, and a byte-order mark."""
    return BLANKS.sub(b"", data.removeprefix(MARK)).rstrip(b"\n")
