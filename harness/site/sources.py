"""The files that a site is made from, and their digests, by which it is known whether anything has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.ledger.audit.beside import beside
from harness.ledger.code import digest_package
from harness.ledger.git import git
from harness.pipeline.paper_manifest import find_papers
from harness.pipeline.roots import find_root
from harness.plugins.distributions import describe_packages
from harness.plugins.registry import FAMILIES, find_entry_points
from harness.site.rendering import find_folder
from harness.system.reading import LARGEST_FILE, read_regular

WORKING = ("work", "weights")
"""Folders of a run that no page depends on."""
MANY = 500
"""Files from which a second process is worth its while."""


def list_sources(trail: Path, hypotheses: Path) -> tuple[Path, ...]:
    """List the folders that a site is made from: the trail, the hypothesis files, and the papers that its audit reads.

    A paper is looked for as an audit does, so that one that comes later is found.
    """
    return (trail, hypotheses, *find_papers(find_root(hypotheses), trail))


def list_files(folder: Path) -> Iterable[str]:
    """List the files below a folder, but for working files and what is hidden, in one order."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in WORKING and not name.startswith("."))
        yield from (f"{path}{os.sep}{name}" for name in sorted(files) if not name.startswith("."))


def digest_files(*folders: Path) -> dict[str, str]:
    """Return path → digest of every file in these folders; of many files, half are read beside us."""
    paths = [path for folder in folders for path in list_files(folder)]
    if len(paths) < MANY:
        return _digest_all(paths)
    dealt = sorted(paths, key=os.path.basename)  # files of one name are of about one size: both halves have their share
    with beside(lambda: _digest_all(dealt[1::2])) as rest:
        found = _digest_all(dealt[::2])
        found |= rest()
    return {path: found[path] for path in paths}


def digest_file(path: str | Path) -> str:
    """Return the digest of a file, or why it can't be read."""
    try:
        return hashlib.sha256(read_regular(path, LARGEST_FILE)).hexdigest()
    except OSError as error:
        return f"not read: {error.strerror}"


def find_below(digests: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return path below a folder, with slashes → digest, of the files in it."""
    start = f"{folder}{os.sep}"
    return {
        path[len(start) :].replace(os.sep, "/"): digest for path, digest in digests.items() if path.startswith(start)
    }


def digest_everything(digests: Mapping[str, str], hypotheses: Path, code: str, title: str) -> str:
    """Digest all that the site depends on: the trail's files by their content, the project's, its history, the code."""
    digest = hashlib.sha256()
    commit = git(hypotheses.parent, "rev-parse", "HEAD") or b""
    for part in (code, title, commit.decode(errors="replace")):
        digest.update(f"{part}\0".encode())
    for path, found in digests.items():
        digest.update(f"{path}\0{found}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def digest_site() -> str:
    """Digest what makes pages from a trail: this package's code, the templates, and other packages with plug-ins."""
    points = (point for family in FAMILIES for point in find_entry_points(family))
    others = describe_packages(sorted({point.module.partition(".")[0] for point in points}))
    files = {path.name: path.read_bytes() for path in sorted(find_folder().iterdir()) if path.is_file()}
    parts = [digest_package().digest, *(f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in files.items())]
    parts += [f"{name} {package.files}" for name, package in others.items()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _digest_all(paths: Sequence[str]) -> dict[str, str]:
    return {path: digest_file(path) for path in paths}
