"""The code of harness in a git commit, digested as a run digests the code that it is made by.

Which kind a file counts to is read from the commit as well, where it is data: nothing of a commit is executed.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.ledger.code import VERSION_FILE, combine_digests
from harness.ledger.git import ask
from harness.ledger.versions import OWN, read_contents
from harness.plugins.digests import normalise_newlines

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
PACKAGE = "harness/"
"""Folder of the code, at the top of its repository."""
TABLE = "ledger/code.py"
REGISTRIES = ("plugins/registry.py", "registry.py")
"""Files that name the families of plug-ins, now and in older versions."""


@dataclass(frozen=True)
class CommittedCode:
    """The code of harness in a commit, or why nothing can be said of it."""

    code: str = ""
    """Digest of all of it, as versions with kinds of code make it; empty if this commit has none of these."""
    code_before: str = ""
    """Digest of all of it, as versions made it before there were kinds."""
    problem: str = ""
    """The reason that there is no digest; empty if there is one."""

    def is_that_of(self, code: str, kinds: Mapping[str, str]) -> bool:
        """Tell whether a run's code, with the digests of its kinds, is that of the commit."""
        if kinds:
            return combine_digests(kinds) == code == self.code
        return code == self.code_before


def read_committed(folder: Path, commit: str) -> CommittedCode:
    """Digest the code of harness that a commit of the repository around ``folder`` holds."""
    if not COMMIT.fullmatch(commit):
        return CommittedCode(problem="what it names is not a commit")
    short = commit[:12]
    listed = ask(folder, *OWN, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit, "--", PACKAGE)
    if listed.out is None:
        missing = listed.state == "git says no"
        return CommittedCode(problem=f"commit {short} is not {'in the repository' if missing else 'at hand'} here")
    blobs: dict[str, str] = {}
    for line in filter(None, os.fsdecode(listed.out).split("\0")):
        about, _, path = line.partition("\t")
        mode, _, blob = about.split(" ")
        name = path.removeprefix(PACKAGE)
        if mode.startswith("100") and name.endswith(".py") and _is_module(name):
            blobs[name] = blob
    if VERSION_FILE not in blobs:
        return CommittedCode(problem=f"commit {short} holds no code of harness")
    contents = read_contents(folder, sorted(set(blobs.values())))
    if any(blob not in contents for blob in blobs.values()):
        return CommittedCode(problem=f"files of commit {short} are not here")
    names = sorted(blobs, key=lambda name: name.split("/"))
    files = {name: contents[blobs[name]] for name in names}
    before = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return CommittedCode(_digest_kinds(files), hashlib.sha256(before.encode()).hexdigest())


def _is_module(name: str) -> bool:
    path = PurePosixPath(name)
    return all(part.isidentifier() for part in (*path.parent.parts, path.stem))


def _digest_kinds(files: Mapping[str, bytes]) -> str:
    """Digest files kind by kind, by the table among them; empty if there is no table of a known form."""
    kinds = _read_table(files.get(TABLE, b""), "KINDS")
    meaning = _read_table(files.get(TABLE, b""), "MEANING")
    families = next((found for name in REGISTRIES if (found := _read_table(files.get(name, b""), "FAMILIES"))), ())
    if not isinstance(kinds, dict) or not isinstance(meaning, dict) or not isinstance(families, tuple):
        return ""
    lines: dict[str, list[str]] = {str(kind): [] for kind in meaning}
    for name, data in files.items():
        if name != VERSION_FILE:
            kind = _find_kind(name, kinds, families)
            lines.setdefault(kind, []).append(f"{hashlib.sha256(normalise_newlines(data)).hexdigest()}  {name}\n")
    return combine_digests({kind: hashlib.sha256("".join(found).encode()).hexdigest() for kind, found in lines.items()})


def _find_kind(name: str, kinds: Mapping[Any, Any], families: Sequence[Any]) -> str:
    """Return the kind of a file as ``code.find_kind`` does, by another version's table."""
    parts = name.removesuffix(".py").split("/")
    if parts[0] in families and len(parts) == 2 and not parts[1].startswith("_"):
        return "plugins"
    known = (kinds.get("/".join(parts[:end])) for end in range(len(parts), 0, -1))
    return str(next((kind for kind in known if kind is not None), "numbers"))


def _read_table(source: bytes, name: str) -> Any:
    """Return the constant that a module binds to a name at its top; None if it binds none."""
    try:
        for node in ast.parse(source).body:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return ast.literal_eval(node.value)  # type: ignore[attr-defined]
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return None
