"""Digests of harness's own code, and what each file of it is meant for: docs/decisions/0033."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import harness
from harness.plugins.digests import digest_code
from harness.plugins.registry import FAMILIES
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
    "api": "words",
    "batched": "numbers",
    "beacons": "words",
    "claims": "judgement",
    "cli": "words",
    "criteria": "judgement",
    "datasets": "numbers",
    "domain": "judgement",
    "domain/form_differences": "words",
    "domain/measured": "numbers",
    "domain/selection": "numbers",
    "domain/templates": "words",
    "domain/draws": "numbers",
    "domain/trained": "numbers",
    "domain/tuning": "numbers",
    "errors": "words",
    "exporters": "words",
    "inference": "judgement",
    "inference/tuning": "numbers",
    "launchers": "words",
    "ledger": "words",
    "adapters": "numbers",
    "losses": "numbers",
    "metrics": "numbers",
    "models": "numbers",
    "optimizers": "numbers",
    "paper": "words",
    "penalties": "numbers",
    "pipeline/__init__": "words",
    "pipeline/audit": "words",
    "pipeline/begin": "words",
    "pipeline/bounded": "words",
    "pipeline/check": "words",
    "pipeline/circumstances": "words",
    "pipeline/claims": "judgement",
    "pipeline/data_sets": "words",
    "pipeline/device_facts": "numbers",
    "pipeline/job_list": "words",
    "pipeline/jobs": "numbers",
    "pipeline/places": "words",
    "pipeline/spread": "numbers",
    "pipeline/remote": "numbers",
    "pipeline/registered_claims": "words",
    "pipeline/worker": "numbers",
    "pipeline/code_proofs": "words",
    "pipeline/compare": "words",
    "pipeline/correspondence": "words",
    "pipeline/doctor": "words",
    "pipeline/explore": "words",
    "pipeline/explored": "words",
    "pipeline/draw": "words",
    "pipeline/families": "words",
    "pipeline/fixing": "numbers",
    "pipeline/following": "words",
    "pipeline/garbage": "words",
    "pipeline/judge": "judgement",
    "pipeline/meaning": "words",
    "pipeline/link": "numbers",
    "pipeline/measure": "words",
    "pipeline/missing_files": "words",
    "pipeline/origin": "words",
    "pipeline/outlines": "judgement",
    "pipeline/overview": "words",
    "pipeline/paper": "words",
    "pipeline/paper_audit": "words",
    "pipeline/paper_manifest": "words",
    "pipeline/pilot": "numbers",
    "pipeline/plan": "words",
    "pipeline/prior_data": "words",
    "pipeline/plan_set": "words",
    "pipeline/power": "words",
    "pipeline/preload": "words",
    "pipeline/program": "numbers",
    "pipeline/program_worker": "numbers",
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
    "pipeline/several": "words",
    "pipeline/sharing": "numbers",
    "pipeline/show": "words",
    "pipeline/siblings": "words",
    "pipeline/stages": "numbers",
    "pipeline/staging": "numbers",
    "pipeline/starts": "numbers",
    "pipeline/telling": "words",
    "pipeline/tidy": "words",
    "pipeline/together": "numbers",
    "pipeline/trials": "words",
    "pipeline/tuning": "numbers",
    "pipeline/verdicts": "words",
    "pipeline/weights": "numbers",
    "plan": "numbers",
    "plugins": "numbers",
    "plugins/digests": "words",
    "plugins/distributions": "words",
    "preconditions": "words",
    "programs": "numbers",
    "records/__init__": "words",
    "records/bands": "judgement",
    "records/base": "numbers",
    "records/claims": "judgement",
    "records/contrasts": "judgement",
    "records/data": "numbers",
    "records/decision": "judgement",
    "records/decision_specs": "judgement",
    "records/estimands": "judgement",
    "records/hypothesis": "numbers",
    "records/linked": "numbers",
    "records/measurements": "numbers",
    "records/plan": "numbers",
    "records/program": "numbers",
    "records/power": "words",
    "records/provenance": "words",
    "records/readings": "judgement",
    "records/reasons": "judgement",
    "records/seeds": "numbers",
    "records/setup": "numbers",
    "records/trends": "judgement",
    "records/tuning": "numbers",
    "records/weights": "numbers",
    "rules": "numbers",
    "schedules": "numbers",
    "spec": "words",
    "spec/claims": "judgement",
    "site": "words",
    "stats": "judgement",
    "system/__init__": "words",
    "system/canonical": "judgement",
    "system/libraries": "words",
    "system/locks": "numbers",
    "system/names": "words",
    "system/network": "words",
    "system/processes": "numbers",
    "system/reading": "numbers",
    "system/ssh": "words",
    "system/storage": "numbers",
    "system/strict_csv": "numbers",
    "system/strict_json": "numbers",
    "system/tied": "words",
    "system/variables": "numbers",
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
            lines[find_kind(name)].append(f"{digest_code(path, text=True)}  {name}")
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
    paths = {path.relative_to(package).parts: path for path in package.rglob("*.py")}
    for (*folders, _), path in sorted(paths.items()):
        if all(part.isidentifier() for part in (*folders, path.stem)) and path.is_file():
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
    kinds: dict[str, Kind] = {"criteria": "judgement", "preconditions": "words"}
    return kinds.get(name.partition("/")[0], "numbers")
