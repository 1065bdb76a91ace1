"""The examination of an installation: what works here, and what to do about what doesn't."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import ledger, spec
from harness.errors import HarnessError
from harness.ledger.bodies import RegisteredBody
from harness.ledger.git import find_repository, git, write_fetch
from harness.ledger.second import find_registered_elsewhere
from harness.pipeline.project import Project, Settings, find_around, find_project_around
from harness.pipeline.trials import advise_trail, try_elsewhere, try_trail
from harness.plugins.registry import FAMILIES, find_members
from harness.system.libraries import explain_load_failure
from harness.system.storage import find_cache_folder
from harness.wording import format_count

ROOM = 1 << 30
"""Bytes that checkpoints and data sets of small runs need."""


State = Literal["works", "note", "broken"]


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at."""

    what: str
    """The thing that was looked at."""
    state: State
    """note: works, but the reader should know; broken: something can't be done here."""
    found: str
    """The state that it was found in, in words."""
    remedy: str | None = None
    """A remedy, if it needs one."""


def examine_installation(folder: Path, settings: Settings) -> tuple[Diagnosis, ...]:
    """Look at everything that a run in ``folder`` would need; nothing that is wrong stops the rest."""
    project = find_project_around(folder, settings)
    looks: tuple[tuple[str, Callable[[], Iterator[Diagnosis]]], ...] = (
        ("versions", lambda: _examine_versions(project.root)),
        ("plug-ins", _examine_plugins),
        ("device", lambda: _examine_device(project, settings)),
        ("data", lambda: _examine_data(project.data)),
        ("cache", _examine_cache),
        ("beside", _examine_elsewhere),
        ("git", lambda: _examine_git(project.root)),
        ("trail", lambda: _examine_trail(project, settings)),
    )
    return tuple(finding for what, look in looks for finding in _guarded(what, look))


def _guarded(what: str, look: Callable[[], Iterator[Diagnosis]]) -> Iterator[Diagnosis]:
    try:
        yield from look()
    except (Exception, SystemExit) as error:
        if (told := error if isinstance(error, HarnessError) else explain_load_failure(error)) is not None:
            where = f"{told.where}: " if told.where else ""
            yield Diagnosis(what, "broken", f"{where}{told.message}", told.remedy)
        elif isinstance(error, OSError | ImportError):
            yield Diagnosis(
                what, "broken", f"{type(error).__name__}: {error}", "see what it says, mend it and ask again"
            )
        else:
            raise


def _examine_versions(root: Path) -> Iterator[Diagnosis]:
    here = ledger.describe_environment(root)
    yield Diagnosis("python", "works", f"{here.python} on {here.platform}, {sys.executable}")
    packages = ", ".join(f"{name} {version}" for name, version in here.packages.items())
    yield Diagnosis("packages", "works", f"harness {here.harness}, {packages}")
    import yaml

    if not yaml.__with_libyaml__:
        remedy = "install PyYAML from a wheel; files are checked 15 times slower without it"
        yield Diagnosis("yaml", "note", "PyYAML was built without libyaml", remedy)


def _examine_plugins() -> Iterator[Diagnosis]:
    for family in FAMILIES:
        found = find_members(family)
        foreign = [name for name, kind in found.items() if not kind.__module__.startswith("harness.")]
        told = f" ({', '.join(foreign)} from other packages)" if foreign else ""
        yield Diagnosis(family, "works", ", ".join(found) + told)


def _examine_device(project: Project, settings: Settings) -> Iterator[Diagnosis]:
    from harness import training

    device = training.open_device(project.device, settings.compile)
    chosen = "".join(f"; {name} {value}" for name, value in sorted(device.arithmetic.items()))
    if device.is_cuda:
        gigabytes = (device.memory_bytes or 0) / 2**30
        yield Diagnosis("device", "works", f"{device.name}, {gigabytes:.0f} GiB{chosen}")
    else:
        remedy = (
            "enough for small hypotheses; for CIFAR-10 use a machine with an NVIDIA card and a CUDA build of PyTorch"
        )
        yield Diagnosis("device", "note", f"{device.name}{chosen}", remedy)


def _examine_cache() -> Iterator[Diagnosis]:
    folder = find_cache_folder()
    if folder is None:
        yield Diagnosis("cache", "note", "none: there is no home folder", "set HARNESS_CACHE to a folder")
        return
    yield from _examine_writable("cache", folder, "set HARNESS_CACHE to a folder that you may write to", state="note")


def _examine_elsewhere() -> Iterator[Diagnosis]:
    for tried in try_elsewhere():
        yield Diagnosis(*tried)


def _examine_data(root: Path) -> Iterator[Diagnosis]:
    state: State = "note" if root.is_dir() or root.parent.is_dir() else "broken"  # only a download writes there
    yield from _examine_writable("data folder", root, "name another folder with --data or HARNESS_DATA", state=state)
    for name, kind in find_members("datasets").items():
        if kind.model_json_schema().get("required", ["name"]) != ["name"]:
            continue  # it has parameters that only a file can give
        try:
            dataset = kind(name=name)
            place, doubt = dataset.locate(root), dataset.doubt(root)  # type: ignore[attr-defined]
        except HarnessError as error:
            yield Diagnosis(f"data: {name}", "note", error.message, error.remedy)
        else:
            if doubt is None:
                yield Diagnosis(f"data: {name}", "works", place)
            else:
                remedy = "a run takes them, and its verdict says that they are not the official files"
                yield Diagnosis(f"data: {name}", "note", f"{place}: {doubt}", remedy)


def _examine_git(root: Path) -> Iterator[Diagnosis]:
    where = find_repository(root)
    if where.commit is None:
        why = "runs note the commit they come from, and an audit holds the trail against its history"
        yield Diagnosis("git", "note", f"{where.problem}: {why}", where.remedy)
        return
    changed = git(root, "status", "--porcelain") or b""
    lines = len(changed.splitlines())
    head = where.commit[:12]
    if lines:
        remedy = "commit before a run that matters: the verdict names every difference from the commit"
        yield Diagnosis("git", "note", f"commit {head}, {format_count(lines, 'changed file')}", remedy)
    else:
        yield Diagnosis("git", "works", f"commit {head}, nothing changed since")
    if (git(root, "rev-parse", "--is-shallow-repository") or b"").strip() == b"true":
        shallow = "a shallow clone: the ledger's history is part of the evidence"
        yield Diagnosis("git", "note", shallow, write_fetch(root, "--unshallow"))


def _examine_trail(project: Project, settings: Settings) -> Iterator[Diagnosis]:
    trail = ledger.Ledger(project.verdicts)
    events = trail.events()
    registered = {entry.body.hypothesis for entry in trail.index().entries(RegisteredBody)}
    heads = len(trail.heads())
    branches = f", {heads} heads, which the next event joins" if heads > 1 else ""
    yield Diagnosis(
        "trail",
        "works",
        f"{format_count(len(events), 'event')}, {format_count(len(registered), 'hypothesis', 'hypotheses')} registered"
        f"{branches}; "
        f"{trail.root} ({project.origins['verdicts']})",
    )
    for name in sorted(registered):
        opened = len(ledger.list_open_attempts(trail, name))
        if opened:
            remedy = "harness run goes on with it; harness run --no-resume closes it"
            yield Diagnosis("trail", "note", f"{name} has {format_count(opened, 'attempt')} not closed", remedy)
    if (around := find_around(project.hypotheses, trail.root, settings)) is not None:
        for other in find_registered_elsewhere(around, registered)[0]:
            found = f"{other.hypothesis} is registered in {other.what}, too: {other.place}"
            yield Diagnosis("trail", "note", found, "harness audit says what that means")
    where = find_repository(trail.root, project.root)
    if where.state == "outside the repository":
        yield Diagnosis("trail", "note", where.problem, where.remedy)
    for hindrance in ledger.find_hindrances(trail.root, where):
        yield Diagnosis("trail", "note", hindrance.what, hindrance.remedy)
    yield from _examine_writable("trail folder", trail.root, advise_trail(trail.root))
    for tried in try_trail(trail.root):
        yield Diagnosis(*tried)
    folder = project.hypotheses
    listing = spec.list_folder(folder) if folder.is_dir() else None
    if listing and not listing.aside and all(file.name == spec.CLAIMS for file in listing.files):
        yield Diagnosis("hypotheses", "note", "no hypothesis in hypotheses/ yet", "harness new writes a first file")
    elif listing:
        report = spec.load_folder([folder])
        wrong = {finding.file for finding in report.findings if finding.severity == "error"}
        state: Literal["works", "broken"] = "broken" if wrong else "works"
        found = f"{len(report.loaded)} valid" + (f", {len(wrong)} with errors" if wrong else "")
        yield Diagnosis("hypotheses", state, found, "see harness check" if wrong else None)
    else:
        yield Diagnosis("hypotheses", "note", "there is no folder hypotheses/ here", "harness new writes a first file")


def _examine_writable(what: str, folder: Path, remedy: str, *, state: State = "broken") -> Iterator[Diagnosis]:
    """Try whether a file can be written there, or into the nearest folder above where it is still to be made.

    ``state`` is what it comes to if not.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    made = "" if there == folder else ", still to be made"
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield Diagnosis(what, state, f"{folder} can't be written to: {error.strerror}", remedy)
        return
    free = shutil.disk_usage(there).free
    if free < ROOM:
        yield Diagnosis(
            what, "note", f"{folder}{made}: {free / 2**20:,.0f} MiB free", "free some space before a long run"
        )
    else:
        yield Diagnosis(what, "works", f"{folder}{made}: {free / 2**30:,.0f} GiB free")
