"""Files and folders of hypotheses: which files are read, and which are left out and why.

A file that can't be read does not stop the others.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shlex import quote

from harness.errors import Finding, NoHypotheses, UsageError
from harness.spec.text import MAX_BYTES

CLAIMS = "claims.yaml"
NAMED_AS_YAML = re.compile(r"\.ya?ml", re.IGNORECASE)
COPY = re.compile(
    r"(^copy of .*| \((another |\d+(st|nd|rd|th) )?copy( \d+)?\)| - copy( \(\d+\))?| \(\d+\))\.ya?ml$", re.IGNORECASE
)
"""A pattern of the names that file managers give to copies."""
DEEPEST = 8
"""Number of levels below a folder that are searched for misplaced hypotheses."""
MOST = 1000
"""Number of files there that are examined."""


@dataclass(frozen=True)
class Listing:
    """The contents of a folder of hypotheses."""

    files: tuple[Path, ...]
    """Files to check, sorted: every ``*.yaml`` that is not an editor's leftover, including claims.yaml."""
    aside: tuple[Path, ...]
    """Files that look like hypotheses and are not checked: in folders below, with another suffix, copies."""
    findings: tuple[Finding, ...]
    """Files that are left out, with reasons."""


def list_folder(folder: Path) -> Listing:
    """List a folder of hypotheses.

    Raises:
        UsageError: The folder can't be read.
    """
    files, aside, findings = [], [], []
    for entry in _list_entries(folder):
        if (reason := _describe_leftover(entry)) is not None:
            findings.append(_report_leftover(entry, reason))
            aside += [entry] if COPY.search(entry.name) else []
        elif entry.suffix == ".yaml":
            files.append(entry)
        elif entry.suffix.lower() in (".yml", ".yaml"):
            aside.append(entry)
            findings.append(_report_misnamed(entry))
        elif entry.is_dir() and not entry.is_symlink():
            below = list(islice(_find_below(entry, DEEPEST), MOST))
            aside += below
            findings += [_report_misplaced(file, folder) for file in below]
    return Listing(tuple(files), tuple(aside), tuple(findings))


def list_path(path: Path) -> Listing:
    """Return the files that a path on the command line stands for: a folder's files, or the file itself.

    Raises:
        UsageError: The folder does not exist, can't be read, or holds no hypothesis.
    """
    if is_folder(path):
        found = list_folder(path)
        if all(file.name == CLAIMS for file in found.files):
            raise NoHypotheses(f"no hypothesis files (*.yaml) in {path}", remedy=_suggest_remedy(path, found))
        return found
    if not path.suffix and not os.path.lexists(path) and _find_similar(path) is None:
        raise UsageError(
            f"there is no folder {path} here",
            remedy="go to the project's folder, name files, or write a first one: harness new",
        )
    return Listing((path,), (), ())


def report_unread(path: Path, error: UsageError) -> Finding:
    """Return the reason why one of several files can't be read as a finding."""
    return Finding(str(path), 1, 1, error.message, error.remedy, None, "error", "unread")


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes, at most one more than the permitted number.

    Raises:
        UsageError: The file can't be read; if it does not exist, the error suggests similar names.
    """
    if is_folder(path):
        raise UsageError("this is a folder, not a hypothesis file", where=str(path), remedy="name a file in it")
    if path.is_symlink() and not path.exists():
        message = f"this link is broken: {path.readlink()} does not exist"
        raise UsageError(message, where=str(path), remedy="point it to a file, or remove it")
    if not path.exists():
        if path.name != CLAIMS and (near := _find_similar(path)):  # no hypothesis's file is meant by it
            raise UsageError(f"no such file {path}; did you mean {near}?", remedy="see 'harness list'")
        raise UsageError(f"no such file {path}", remedy=_suggest_file(path))
    if not path.is_file():
        raise UsageError("not a regular file", where=str(path), remedy="name a YAML file")
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _make_unreadable(path, error) from error


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder.

    Raises:
        UsageError: This can't be determined, because a folder above it can't be read.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise _make_unreadable(path, error) from error


def _list_entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise _make_unreadable(folder, error) from error


def _describe_leftover(entry: Path) -> str | None:
    """Return the reason why a name is not that of a hypothesis; None if it may be one, or is of no interest."""
    name = entry.name
    if name.startswith(".git"):  # git's own files
        return None
    if name.startswith("."):
        return "a hidden file"
    if name.endswith(("~", "#")) or name.startswith("#"):
        return "an editor's backup"
    if COPY.search(name):
        return "a copy, judging by its name"
    if entry.suffix.lower() not in (".yaml", ".yml") and NAMED_AS_YAML.search(name):
        return f"its suffix, {entry.suffix}, is not that of a hypothesis"
    return None


def _find_below(folder: Path, levels: int) -> Iterator[Path]:
    """Yield YAML files in and below a subfolder of the hypotheses; links are not followed."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            if levels:
                yield from _find_below(entry, levels - 1)
        elif entry.suffix.lower() in (".yaml", ".yml") and entry.name != CLAIMS and _describe_leftover(entry) is None:
            yield entry


def _report_leftover(entry: Path, reason: str) -> Finding:
    remedy = "rename it if it is meant as a hypothesis, otherwise remove it or leave it"
    return Finding(str(entry), 1, 1, f"not checked: {reason}", remedy, None, "note", "unread")


def _report_misnamed(file: Path) -> Finding:
    message = "this file is not checked, and can't be listed: a hypothesis file's name ends in .yaml"
    meant = file.with_suffix(".yaml")
    remedy = f"rename it to {meant.name}" if not os.path.lexists(meant) else f"remove it, or merge it into {meant.name}"
    return Finding(str(file), 1, 1, message, remedy, None, "warning", "unread")


def _report_misplaced(file: Path, folder: Path) -> Finding:
    message = f"this file lies below {folder}, where it is neither checked nor listed"
    remedy = f"move it to {folder}, or name its folder: harness check {quote(str(file.parent))}"
    return Finding(str(file), 1, 1, message, remedy, None, "warning", "unread")


def _suggest_remedy(folder: Path, found: Listing) -> str:
    others = [file for file in found.aside if file.parent == folder and file.suffix != ".yaml"]
    if others:
        return "rename " + ", ".join(f"{file.name} to {file.with_suffix('.yaml').name}" for file in others[:3])
    if found.aside:
        return "move here, or rename, " + ", ".join(str(file.relative_to(folder)) for file in found.aside[:3])
    return "name files, or another folder, or write a first one: harness new"


def _make_unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"can't be read: {error.strerror}", where=str(path), remedy="check the path and its permissions")


def _suggest_file(path: Path) -> str:
    """Return the remedy for a file that does not exist and that no name beside it resembles."""
    if path.name == CLAIMS:
        return "write what your hypotheses are about into it, claims: {NAME: {statement: …}}, or name another file"
    if not path.suffix:
        return f"name the hypothesis's file, such as hypotheses/{path.name.replace('-', '_')}.yaml"
    return "check the path"


def _find_similar(path: Path) -> Path | None:
    """Return the file that a missing name most likely means: the file of an id, or the one of the most similar name."""
    try:
        of_id = f"{path.name.replace('-', '_')}.yaml"
        for meant in (path.with_name(of_id), path.parent / "hypotheses" / of_id):
            if not path.suffix and meant.is_file():
                return meant
        names: Sequence[str] = [file.name for file in path.parent.glob("*.yaml") if file.name != CLAIMS]
    except OSError:
        return None
    close = difflib.get_close_matches(path.name, names, n=1)
    return path.with_name(close[0]) if close else None
