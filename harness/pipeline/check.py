"""Checking files against the trail and against git: what is registered keeps its meaning, and its file stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from harness import spec
from harness.errors import Finding, UsageError
from harness.ledger import Ledger, StoredFixing, read_fixing
from harness.ledger.git import ask, find_repository, git, write_fetch
from harness.pipeline.missing_files import Key, check_folder
from harness.pipeline.power import warn_of_too_few_seeds
from harness.pipeline.prior_data import check_declared
from harness.pipeline.project import Projects
from harness.pipeline.registered_claims import warn_of_changed_claims
from harness.pipeline.starts import find_misfits
from harness.records import Hypothesis


def check_files(paths: Sequence[Path], projects: Projects, against: str | None = None) -> spec.FolderReport:
    """Find all that is wrong with files: on their own, together, and against the registrations in the trail.

    ``against`` names a git commit to compare with as well: what was registered there must not have changed, lost its
    file or lost its registration. Findings include a warning where the registered seeds can't be enough for the
    prediction, and an error for every registered hypothesis whose file is missing from the project's folder.

    Raises:
        UsageError: a path or a commit that is not there.
        Tampered: the trail is not what was written.
    """
    known: list[spec.Known] = []
    gone: list[Finding] = []
    registered: set[Key] = set()
    for key, trail in {projects.key(path): projects.trail(path) for path in paths}.items():
        known += [replace(entry, frozen=against is not None, trail=key) for entry in _read_registered(trail)]
        if against is not None:
            here = trail.index().digests
            for digest, fixing in _read_fixing_at(against, trail, projects.find(paths[0]).root).items():
                registered.add((key, fixing.hypothesis))
                if digest not in here:
                    gone.append(_describe_missing_event(trail, digest, fixing, against))
    report, absent = check_folder(paths, projects, known)
    missing = {(one.key, one.hypothesis): one.finding() for one in absent if one.lies is None}
    doubts = [doubt for loaded in report.loaded if (doubt := warn_of_too_few_seeds(loaded)) is not None]
    for find in (find_misfits, check_declared, warn_of_changed_claims):
        doubts += [one for loaded in report.loaded for one in find(loaded, projects.trail(loaded.path))]
    found = sorted((*report.findings, *doubts), key=lambda finding: (finding.file, finding.line, finding.column))
    report = replace(report, findings=tuple(found))
    if against is not None:
        present = {(projects.key(loaded.path), loaded.hypothesis.id) for loaded in report.loaded}
        for path in paths:
            lost = {name for key, name in registered - present if key == projects.key(path)}
            missing |= {(projects.key(path), name): found for name, found in _find_removed(path, against, lost).items()}
    return replace(report, findings=(*report.findings, *gone, *missing.values()))


def _read_registered(trail: Ledger) -> Iterable[spec.Known]:
    """Read what is registered in a trail; a form that this version can't read is left to ``harness audit``."""
    found: dict[str, spec.Known] = {}
    for entry in trail.index().fixing():
        first = found.get(entry.body.hypothesis)
        try:
            form = Hypothesis.model_validate_json(trail.read_object(entry.body.canonical))
        except ValidationError:
            continue
        found[entry.body.hypothesis] = spec.Known(form, first.since if first else entry.claimed_time)
    return found.values()


def _read_fixing_at(ref: str, trail: Ledger, project: Path) -> dict[str, StoredFixing]:
    """Read digest → registration or amendment, of the trail as it was committed at ``ref``."""
    folder, commit = _find_commit(trail.root, ref, project)
    inside = trail.root.resolve().relative_to(folder).as_posix()
    listed = _ask_git(folder, "ls-tree", "-r", "-z", commit, "--", f"{inside}/ledger/events/")
    blobs = {}
    for entry in filter(None, listed.split(b"\0")):
        meta, _, name = entry.partition(b"\t")
        blobs[Path(name.decode()).stem] = meta.split()[2].decode()
    contents = zip(blobs, _read_blobs(folder, list(blobs.values())), strict=True)
    return {digest: fixing for digest, data in contents if (fixing := read_fixing(data)) is not None}


def _read_blobs(folder: Path, names: list[str]) -> list[bytes]:
    """Read the contents of git objects, read by one process."""
    if not names:
        return []
    output = _ask_git(folder, "cat-file", "--batch", given="\n".join(names).encode() + b"\n")
    contents = []
    for _ in names:
        head, _, rest = output.partition(b"\n")
        if len(head.split()) != 3:
            remedy = f"a partial clone lacks it: {write_fetch(folder)}"
            raise UsageError(f"git has not this object here: {head.decode()}", where=str(folder), remedy=remedy)
        size = int(head.split()[2])
        contents.append(rest[:size])
        output = rest[size + 1 :]
    return contents


def _ask_git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Return what git prints. Its silence must not pass for "nothing was registered"."""
    answer = ask(folder, *arguments, given=given)
    if answer.out is None:
        problem = f"git {arguments[0]} gave no answer: {answer.said or answer.state}"
        lacking = "promisor" in answer.said  # newer versions of git list what they may not fetch, older ones stop
        remedy = (
            f"a partial clone lacks objects: {write_fetch(folder)}"
            if lacking
            else "mend what git says, then check again"
        )
        raise UsageError(problem, where=str(folder), remedy=remedy)
    return answer.out


def _find_commit(path: Path, ref: str, project: Path | None = None) -> tuple[Path, str]:
    """Find the top folder of the repository that holds ``path``, and the commit that ``ref`` is there."""
    where = find_repository(path, project)
    if where.top is None or where.commit is None:
        problem = f"--against needs a git repository with a commit: {where.problem}"
        raise UsageError(problem, where=str(path), remedy=where.remedy)
    commit = git(where.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit is None:
        remedy = "fetch it (CI: check out with fetch-depth: 0), or name another commit"
        raise UsageError(f"git knows no commit {ref!r} here", where="--against", remedy=remedy)
    return where.top.resolve(), commit.decode().split()[-1]


def _describe_missing_event(trail: Ledger, digest: str, fixing: StoredFixing, ref: str) -> Finding:
    message = f"the {fixing.type} event of {fixing.hypothesis!r} is in {ref} and not here"
    remedy = "restore it from git: what was registered stays registered"
    return Finding(str(trail.folder / f"{digest}.json"), 1, 1, message, remedy, rule="amendment")


def _find_removed(path: Path, ref: str, missing: set[str]) -> dict[str, Finding]:
    """Find hypothesis → the file below ``path`` that held it at ``ref`` and is gone, of those that are ``missing``."""
    if not missing or not path.is_dir():
        return {}
    folder, commit = _find_commit(path, ref)
    inside = path.resolve().relative_to(folder).as_posix()
    listed = _ask_git(folder, "ls-tree", "-z", commit, "--", f"{inside}/")
    found = {}
    for entry in filter(None, listed.split(b"\0")):
        meta, _, name = entry.partition(b"\t")
        file = folder / name.decode()
        if file.suffix != ".yaml" or file.exists():
            continue
        (content,) = _read_blobs(folder, [meta.split()[2].decode()])
        was = spec.read_id(content)
        if was in missing:
            message = f"this file held {was!r}, which is registered, and is not here any more"
            remedy = "restore it from git: a registered hypothesis keeps its file"
            found[was] = Finding(str(path / file.name), 1, 1, message, remedy, rule="amendment")
    return found
