"""The files that a site is made from, and their digests, by which it is known what has changed."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import harness
from harness.ledger.audit.beside import run_beside
from harness.ledger.code import digest_package
from harness.pipeline.paper_manifest import find_papers
from harness.pipeline.roots import find_root
from harness.plugins.digests import SETTLING
from harness.plugins.distributions import describe_packages
from harness.plugins.registry import FAMILIES, find_entry_points
from harness.site.rendering import find_folder
from harness.system.reading import LARGEST_FILE, read_regular

WORKING = ("work", "weights")
"""Folders of a run that no page depends on."""
DEPTH = 2
"""Folders above those of a run, from the trail's own: that of a hypothesis, and that of the run."""
WRITING = ("pydantic", "jinja2", "markupsafe")
"""Packages on whose version it depends how a page is written."""
UNREAD = "not read"
"""Beginning of what stands in place of the digest of a file that can't be read."""
MANY = 500
"""Files from which a second process is worth its while."""


class Looked(NamedTuple):
    """The files that a site is made from, as they were when it was built."""

    digests: dict[str, str]
    """Path → digest of the file's bytes, or why it can't be read."""
    marks: dict[str, str]
    """Marks of a file → digest, for the next look: who finds the same marks need not read the file again."""
    read: int
    """Number of files that were read."""


def list_sources(trail: Path, hypotheses: Path) -> tuple[Path, ...]:
    """List the folders that a site is made from: the trail, the hypothesis files, and the papers that its audit reads.

    A paper is looked for as an audit does, so that one that comes later is found.
    """
    return (trail, hypotheses, *find_papers(find_root(hypotheses), trail))


def list_files(folder: Path) -> Iterable[str]:
    """List the files below a folder, but for working files of runs and what is hidden, in one order.

    A link to a folder is listed as a file is, and not followed.
    """
    above = str(folder).count(os.sep) + DEPTH
    for path, folders, files in os.walk(folder):
        left_out = WORKING if path.count(os.sep) == above else ()
        folders[:] = sorted(name for name in folders if name not in left_out and not name.startswith("."))
        links = [name for name in folders if os.path.islink(f"{path}{os.sep}{name}")]  # noqa: PTH114 (thousands)
        yield from (f"{path}{os.sep}{name}" for name in sorted([*files, *links]) if not name.startswith("."))


def look_at_files(folders: Sequence[Path], known: Mapping[str, str]) -> Looked:
    """Look at every file in these folders; of many that must be read, half are read beside us.

    ``known``: marks of an earlier look. A file with the same place, inode, size and times is taken to have the same
    bytes: a write moves the time of change, and no call sets it. A look may miss what a shared mapping of memory wrote,
    whose times come late; a write where a file system keeps other times, or shows them late or by another computer's
    clock (FAT, FUSE, SMB, NFS); one after which the clock was set back; and one past the file system. What changed so
    lately that its times may not tell a second change (``SETTLING``), or while it was read, is not remembered.
    """
    begun, marks, fresh = time.time_ns(), {}, set()
    for path in (path for folder in folders for path in list_files(folder)):
        marks[path], changed = _mark(path)
        if changed is None or changed > begun - SETTLING:
            fresh.add(path)
    due = [path for path, mark in marks.items() if mark not in known]
    read = _digest_many(due)
    digests = {path: read[path] if path in read else known[mark] for path, mark in marks.items()}
    fresh.update(path for path in due if _mark(path)[0] != marks[path])
    lasting = (path for path in marks if path not in fresh and not digests[path].startswith(UNREAD))
    return Looked(digests, {marks[path]: digests[path] for path in lasting}, len(due))


def digest_file(path: str | Path) -> str:
    """Return the digest of a file, or why it can't be read."""
    try:
        return hashlib.sha256(read_regular(path, LARGEST_FILE)).hexdigest()
    except OSError as error:
        return f"{UNREAD}: {error.strerror}"


def find_below(digests: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return path below a folder, with slashes → digest, of the files in it."""
    start = f"{folder}{os.sep}"
    return {
        path[len(start) :].replace(os.sep, "/"): digest for path, digest in digests.items() if path.startswith(start)
    }


def digest_site() -> str:
    """Digest what makes pages from a trail: this package's code and version, the templates, and other packages.

    Those are the ones with plug-ins, by their files, and those that write pages, by their versions.
    """
    points = (point for family in FAMILIES for point in find_entry_points(family))
    others = describe_packages(sorted({point.module.partition(".")[0] for point in points}))
    files = {path.name: path.read_bytes() for path in sorted(find_folder().iterdir()) if path.is_file()}
    parts = [digest_package().digest, *(f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in files.items())]
    parts += [f"{name} {package.files}" for name, package in others.items()]
    parts += [f"harness {harness.__version__}", f"python {sys.version}"]  # pages say the first; the others shape them
    parts += [f"{name} {_find_version(name)}" for name in WRITING]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _digest_all(paths: Sequence[str]) -> dict[str, str]:
    return {path: digest_file(path) for path in paths}


def _digest_many(paths: Sequence[str]) -> dict[str, str]:
    if len(paths) < MANY:
        return _digest_all(paths)
    dealt = sorted(paths, key=os.path.basename)  # files of one name are of about one size: both halves have their share
    with run_beside(lambda: _digest_all(dealt[1::2])) as rest:
        found = _digest_all(dealt[::2])
        found |= rest()
    return found


def _mark(path: str) -> tuple[str, int | None]:
    """Return a digest of all that changes when a file does, and when that was; None if it is to be read each time.

    A digest, because a site is published and where it was built is nobody's business.
    """
    try:
        found = os.lstat(path)  # no Path object: this is done for thousands of files
    except OSError:
        return path, None
    told = f"{path}\0{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    mark = hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:32]
    # Elsewhere the third time is that of a file's creation.
    lasting = stat.S_ISREG(found.st_mode) and os.name == "posix"
    return mark, max(found.st_mtime_ns, found.st_ctime_ns) if lasting else None
