"""Checking files against the trail and against git: what is registered keeps its meaning, and its file stays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import spec
from harness.errors import Finding, UsageError
from harness.ledger import Ledger
from harness.ledger.git import ask, git, repository, whole
from harness.pipeline.absent import FIXING, Key, Trails, a_file, folder_report
from harness.pipeline.foresight import too_few_seeds
from harness.pipeline.project import Settings, project_root
from harness.records import Hypothesis


def check(paths: Sequence[Path], settings: Settings, against: str | None = None) -> spec.FolderReport:
    """All findings of all files, on their own, together, against the registrations in the trail and, with ``against``,
    against a git commit: what was registered there must not have changed, lost its file or lost its registration.
    A warning where the registered seeds can't be enough for the prediction is among them, and an error for every
    registered hypothesis whose file is missing from the project's folder.

    Raises:
        UsageError: a path or a commit that is not there.
        Tampered: the trail is not what was written.
    """
    trails = Trails(settings)
    known: list[spec.Known] = []
    gone: list[Finding] = []
    registered: set[Key] = set()
    for key, trail in {trails.key(path): trails.of(path) for path in paths}.items():
        known += [replace(entry, frozen=against is not None, trail=key) for entry in _registered(trail)]
        if against is not None:
            before = _events_at(against, trail, project_root(a_file(paths[0])))
            here = {event.digest for event in trail.events()}
            for name, event in before.items():
                if event["type"] in FIXING:
                    registered.add((key, event["body"]["hypothesis"]))
                    if name not in here:
                        gone.append(_missing_event(trail, name, event, against))
    report, absent = folder_report(paths, trails, known)
    missing = {(one.key, one.hypothesis): one.finding() for one in absent if one.lies is None}
    doubts = [doubt for loaded in report.loaded if (doubt := too_few_seeds(loaded)) is not None]
    found = sorted((*report.findings, *doubts), key=lambda finding: (finding.file, finding.line, finding.column))
    report = replace(report, findings=tuple(found))
    if against is not None:
        present = {(trails.key(loaded.path), loaded.hypothesis.id) for loaded in report.loaded}
        for path in paths:
            lost = {name for key, name in registered - present if key == trails.key(path)}
            missing |= {(trails.key(path), name): found for name, found in _removed(path, against, lost).items()}
    return replace(report, findings=(*report.findings, *gone, *missing.values()))


def _registered(trail: Ledger) -> Iterable[spec.Known]:
    """What is registered in a trail; a form that this version can't read is left to ``harness audit``."""
    found: dict[str, spec.Known] = {}
    for event in trail.events():
        if event.type in FIXING:
            name, first = str(event.body["hypothesis"]), found.get(str(event.body["hypothesis"]))
            try:
                form = Hypothesis.model_validate_json(trail.read_object(event.body["canonical"]))
            except ValidationError:
                continue
            found[name] = spec.Known(form, first.since if first else event.claimed_time)
    return found.values()


def _events_at(ref: str, trail: Ledger, project: Path) -> dict[str, dict[str, Any]]:
    """Digest → event, of the trail as it was committed at ``ref``."""
    folder, commit = _repository(trail.root, ref, project)
    inside = trail.root.resolve().relative_to(folder).as_posix()
    listed = _answer(folder, "ls-tree", "-r", "-z", commit, "--", f"{inside}/ledger/events/")
    blobs = {}
    for entry in filter(None, listed.split(b"\0")):
        meta, _, name = entry.partition(b"\t")
        blobs[Path(name.decode()).stem] = meta.split()[2].decode()
    contents = _blobs(folder, list(blobs.values()))
    return {digest: json.loads(data) for digest, data in zip(blobs, contents, strict=True)}


def _blobs(folder: Path, names: list[str]) -> list[bytes]:
    """The contents of git objects, read by one process."""
    if not names:
        return []
    output = _answer(folder, "cat-file", "--batch", given="\n".join(names).encode() + b"\n")
    contents = []
    for _ in names:
        head, _, rest = output.partition(b"\n")
        if len(head.split()) != 3:
            remedy = f"a partial clone lacks it: {whole(folder)}"
            raise UsageError(f"git has not this object here: {head.decode()}", where=str(folder), remedy=remedy)
        size = int(head.split()[2])
        contents.append(rest[:size])
        output = rest[size + 1 :]
    return contents


def _answer(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What git prints. Its silence must not pass for "nothing was registered"."""
    answer = ask(folder, *arguments, given=given)
    if answer.out is None:
        problem = f"git {arguments[0]} gave no answer: {answer.said or answer.state}"
        lacking = "promisor" in answer.said  # newer versions of git list what they may not fetch, older ones stop
        remedy = (
            f"a partial clone lacks objects: {whole(folder)}" if lacking else "mend what git says, then check again"
        )
        raise UsageError(problem, where=str(folder), remedy=remedy)
    return answer.out


def _repository(path: Path, ref: str, project: Path | None = None) -> tuple[Path, str]:
    """The top folder of the repository that holds ``path``, and the commit that ``ref`` is there."""
    where = repository(path, project)
    if where.top is None or where.commit is None:
        problem = f"--against needs a git repository with a commit: {where.problem}"
        raise UsageError(problem, where=str(path), remedy=where.remedy)
    commit = git(where.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit is None:
        remedy = "fetch it (CI: check out with fetch-depth: 0), or name another commit"
        raise UsageError(f"git knows no commit {ref!r} here", where="--against", remedy=remedy)
    return where.top.resolve(), commit.decode().split()[-1]


def _missing_event(trail: Ledger, digest: str, event: dict[str, Any], ref: str) -> Finding:
    message = f"the {event['type']} event of {event['body']['hypothesis']!r} is in {ref} and not here"
    remedy = "restore it from git: what was registered stays registered"
    return Finding(str(trail.folder / f"{digest}.json"), 1, 1, message, remedy, rule="amendment")


def _removed(path: Path, ref: str, missing: set[str]) -> dict[str, Finding]:
    """Hypothesis → the file below ``path`` that held it at ``ref``, where it is registered, and is not there now."""
    if not missing or not path.is_dir():
        return {}
    folder, commit = _repository(path, ref)
    inside = path.resolve().relative_to(folder).as_posix()
    listed = _answer(folder, "ls-tree", "-z", commit, "--", f"{inside}/")
    found = {}
    for entry in filter(None, listed.split(b"\0")):
        meta, _, name = entry.partition(b"\t")
        file = folder / name.decode()
        if file.suffix != ".yaml" or file.exists():
            continue
        (content,) = _blobs(folder, [meta.split()[2].decode()])
        was = spec.read_id(content)
        if was in missing:
            message = f"this file held {was!r}, which is registered, and is not here any more"
            remedy = "restore it from git: a registered hypothesis keeps its file"
            found[was] = Finding(str(path / file.name), 1, 1, message, remedy, rule="amendment")
    return found
