"""This package's own code by digest, and what each file of it is meant for: docs/decisions/0033."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import harness
from harness.plugins.registry import FAMILIES, normalise_newlines
from harness.records import Record

Kind = Literal["numbers", "judgement", "plugins", "words"]
"""numbers: what trains and measures; judgement: what decides; plugins: built-in plug-ins, of which a registration pins
those that it uses one by one; words: what reports, checks and keeps records."""

MEANING: Mapping[Kind, str] = {
    "numbers": "the code that trains and measures",
    "judgement": "the code that judges",
    "plugins": "the built-in plug-ins",
    "words": "the code that reports and keeps records",
}
KINDS: Mapping[str, Kind] = {
    "__main__": "words",
    "batched": "numbers",
    "beacons": "words",
    "claims": "judgement",
    "cli": "words",
    "criteria": "judgement",
    "datasets": "numbers",
    "domain": "judgement",
    "domain/form_differences": "words",
    "domain/templates": "words",
    "errors": "words",
    "inference": "judgement",
    "ledger": "words",
    "metrics": "numbers",
    "models": "numbers",
    "penalties": "numbers",
    "pipeline/__init__": "words",
    "pipeline/audit": "words",
    "pipeline/bounded": "words",
    "pipeline/check": "words",
    "pipeline/claims": "judgement",
    "pipeline/code_proofs": "words",
    "pipeline/doctor": "words",
    "pipeline/draw": "words",
    "pipeline/export": "words",
    "pipeline/families": "words",
    "pipeline/garbage": "words",
    "pipeline/judge": "judgement",
    "pipeline/meaning": "words",
    "pipeline/missing_files": "words",
    "pipeline/overview": "words",
    "pipeline/pilot": "numbers",
    "pipeline/plan": "words",
    "pipeline/power": "words",
    "pipeline/preload": "words",
    "pipeline/project": "words",
    "pipeline/roots": "words",
    "pipeline/recompute": "words",
    "pipeline/register": "words",
    "pipeline/repeat": "words",
    "pipeline/replicate": "words",
    "pipeline/reverdict": "judgement",
    "pipeline/run": "numbers",
    "pipeline/run_files": "judgement",
    "pipeline/run_steps": "numbers",
    "pipeline/sequential": "numbers",
    "pipeline/session": "words",
    "pipeline/show": "words",
    "pipeline/siblings": "words",
    "pipeline/trials": "words",
    "plan": "numbers",
    "plugins": "numbers",
    "plugins/distributions": "words",
    "records/__init__": "words",
    "records/bands": "judgement",
    "records/base": "numbers",
    "records/claims": "judgement",
    "records/decision": "judgement",
    "records/decision_specs": "judgement",
    "records/estimands": "judgement",
    "records/hypothesis": "numbers",
    "records/measurements": "numbers",
    "records/plan": "numbers",
    "records/power": "words",
    "records/provenance": "words",
    "records/reasons": "judgement",
    "records/seeds": "numbers",
    "records/setup": "numbers",
    "rules": "numbers",
    "spec": "words",
    "spec/claims": "judgement",
    "stats": "judgement",
    "system/__init__": "words",
    "system/libraries": "words",
    "system/locks": "numbers",
    "system/network": "words",
    "system/processes": "numbers",
    "system/reading": "numbers",
    "system/ssh": "words",
    "system/storage": "numbers",
    "system/without": "words",
    "training": "numbers",
    "verdict": "words",
    "wording": "words",
}
"""File or folder of the package → its kind; the longest entry that fits counts. A file of two kinds has the graver one:
``system/storage`` and ``system/locks`` keep records, and also the checkpoints and decoded images that numbers come
from; ``plugins/fields`` describes parameters, and is part of the records that hold them.

``ledger`` derives the seeds, ``beacons`` verify what they may be derived from and ``spec`` reads the file, and yet none
of them can change a number unseen: the seeds stand in the run's event, where an audit derives them again, and the
file's whole meaning is compared field by field.
"""
VERSION_FILE = "__init__.py"
"""Holds the version and nothing else. It belongs to no kind: another version of the same code is the same code."""


class Code(Record):
    """The code of this package."""

    digest: str
    """SHA-256 over ``kinds``: one line for each, in the order of the alphabet, "<digest>  <kind>"."""
    kinds: dict[str, str]
    """Kind → SHA-256 over its files: one line for each, sorted by path, "<digest>  <path>"."""


def digest_package(package: Path | None = None) -> Code:
    """Digest the code of this package, or of a copy in another folder; the same in a repository and installed.

    Files count by what Python reads in them: line ends are no difference.
    """
    package = Path(harness.__file__).parent if package is None else package
    lines: dict[str, list[str]] = {kind: [] for kind in MEANING}
    for path in list_source_files(package):
        name = path.relative_to(package).as_posix()
        if name != VERSION_FILE:
            lines[find_kind(name)].append(
                f"{hashlib.sha256(normalise_newlines(path.read_bytes())).hexdigest()}  {name}"
            )
    kinds = {kind: hashlib.sha256("".join(f"{line}\n" for line in lines[kind]).encode()).hexdigest() for kind in lines}
    return Code(digest=combine_digests(kinds), kinds=dict(sorted(kinds.items())))


def combine_digests(kinds: Mapping[str, str]) -> str:
    """Return the one digest that follows from those of all kinds."""
    return hashlib.sha256("".join(f"{kinds[kind]}  {kind}\n" for kind in sorted(kinds)).encode()).hexdigest()


def list_source_files(package: Path) -> Iterator[Path]:
    """Yield the files below ``package`` that can be imported as its modules, sorted by path.

    Neither copies that a notebook or an editor leaves (".ipynb_checkpoints/loop-checkpoint.py", "#loop.py#"), nor an
    editor's lock (".#loop.py", a link to nowhere), nor anything else whose name is no module's.
    """
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).parts):
        folders = path.relative_to(package).parent.parts
        if path.is_file() and all(part.isidentifier() for part in (*folders, path.stem)):
            yield path


def find_kind(name: str) -> Kind:
    """Return the kind of a file by its path below the package; of an unknown one the gravest, so that it can't hide.

    A plug-in is any file of a plug-in family whose name does not begin with an underscore, as ``registry`` finds them.
    """
    parts = name.removesuffix(".py").split("/")
    if parts[0] in FAMILIES and len(parts) == 2 and not parts[1].startswith("_"):
        return "plugins"
    for end in range(len(parts), 0, -1):
        if (kind := KINDS.get("/".join(parts[:end]))) is not None:
            return kind
    return "numbers"


def find_plugin_kind(name: str) -> Kind:
    """Return what a plug-in is meant for, by its name in the pins, "rules/dfa"."""
    return "judgement" if name.startswith("criteria/") else "numbers"
