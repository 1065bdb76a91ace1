"""Whether a hypothesis is registered in another trail of its project, or was in this one as HEAD has it.

A registration derives the seeds: whoever may register the same question twice, in two trails, may choose the draw.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.ledger.carried import left_out, put_back
from harness.ledger.git import Repository, git, repository
from harness.wording import counted

EVENT = re.compile(r"(?P<trail>(?:.+/)?)ledger/events/(?P<digest>[0-9a-f]{64})\.json")
OWN_MARKS = ("pyproject.toml", ".git")
"""What makes a folder a project of its own even inside another. A trail alone does not: it may be the second one."""
PASSED_OVER = (
    "node_modules", "__pycache__", "site-packages", ".git", ".cache", ".hypothesis", ".mypy_cache", ".nox",
    ".pytest_cache", ".ruff_cache", ".tox",
)  # fmt: skip
USE_THAT = (
    "use that trail: name it with --verdicts or, for good, as verdicts in [tool.harness]; a new question has a new id"
)
DEEPEST, MOST_ENTRIES = 8, 200_000


@dataclass(frozen=True)
class _Held:
    """A registration of the hypothesis that is not in this trail."""

    event: str
    time: str


def refuse_second(
    trail: Path, project: Path, hypothesis: str, data: Path | None = None, named: Iterable[Path] = ()
) -> str | None:
    """Refuse a registration whose id another trail of the project, or HEAD's, holds already.

    ``trail``: the folder where it would be entered; ``project``: the project's folder; ``data``: the data folder, which
    is searched one level deep; ``named``: the trails that the project's settings name, wherever they lie. Returns why
    HEAD could not be looked at, as a clause; None if it was or there is none.

    Raises:
        UsageError: it is registered already; or HEAD has events that are not here and cannot be read.
    """
    base = next(
        (folder for folder in (project, *project.parents) if any((folder / mark).exists() for mark in OWN_MARKS)),
        project,
    )
    own = os.path.realpath(trail)
    for other in (*(one for one in named if os.path.realpath(one) != own), *_trails(base, trail, data)):
        if (held := _held(_stored(other), hypothesis)) is not None:
            raise UsageError(
                f"the hypothesis is registered already in another trail of this project, {other}, "
                f"by event {held.event[:12]} ({held.time})",
                where=hypothesis,
                remedy=USE_THAT,
            )
    where = repository(base)
    if where.state == "git says no":
        return where.problem
    if where.state == "answers":
        _refuse_what_head_holds(where, base, trail, hypothesis)
    return None


def _refuse_what_head_holds(where: Repository, base: Path, trail: Path, hypothesis: str) -> None:
    assert where.top is not None
    listed = os.fsdecode(git(where.top, "ls-tree", "-r", "-z", "--full-tree", "HEAD") or b"")
    entries = [entry.partition("\t")[::2] for entry in listed.split("\0") if entry]
    own = {file.stem for file in (trail / "ledger" / "events").glob("*.json")}
    apart = {path.removesuffix("pyproject.toml") for _, path in entries if path.endswith("/pyproject.toml")}
    blobs: dict[str, tuple[str, str]] = {}
    for meta, path in entries:
        match = EVENT.fullmatch(path)
        if match is None or match["digest"] in own or not path.startswith(where.prefix):
            continue
        if any(path.startswith(folder) for folder in apart if len(folder) > len(where.prefix)):
            continue  # a project of its own
        blobs[meta.split()[2]] = (match["trail"], match["digest"])
    contents = _blobs(where.top, list(blobs))
    for blob, (folder, digest) in blobs.items():
        if (data := contents.get(blob)) is not None and (held := _held([(digest, data)], hypothesis)) is not None:
            there = (where.top / folder / "ledger" / "events" / f"{digest}.json").exists()
            raise UsageError(
                f"the hypothesis is registered already: HEAD holds its registration in {where.top / folder}, "
                f"event {held.event[:12]} ({held.time}), and it is not {'in this trail' if there else 'here'}",
                where=hypothesis,
                remedy=USE_THAT if there else f"get it back: {_back(where.top / folder)}",
            )
    if missing := [place for blob, place in blobs.items() if blob not in contents]:
        lacking = where.top / missing[0][0]
        raise UsageError(
            f"HEAD has {counted(len(missing), 'event')} of the trail {lacking} that this folder lacks, so that nobody "
            "can tell whether the hypothesis is registered already",
            where=hypothesis,
            remedy=f"get them: {_back(lacking)}",
        )


def _back(folder: Path) -> str:
    where = repository(folder)
    lacking = left_out(folder, where)
    return lacking.remedy if lacking is not None else put_back(where)


def _held(events: Iterator[tuple[str, bytes]] | list[tuple[str, bytes]], hypothesis: str) -> _Held | None:
    """The first registration of the hypothesis among events by their digest; what cannot be read is none."""
    for digest, data in events:
        if b'"registered"' not in data or hypothesis.encode() not in data:
            continue
        try:
            event = json.loads(data)
            if event["type"] == "registered" and event["body"]["hypothesis"] == hypothesis:
                return _Held(digest, str(event["claimed_time"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return None


def _stored(trail: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted((trail / "ledger" / "events").glob("*.json")):
        try:
            yield file.stem, file.read_bytes()
        except OSError:
            continue


def _trails(base: Path, own: Path, data: Path | None) -> Iterator[Path]:
    """Folders below ``base`` that hold a ledger, but for ``own``; nearest first.

    Passed over are caches, what lies deeper in the data folder, other projects and repositories, and what lies very
    deep.
    """
    try:
        inside_data = sorted(data.iterdir()) if data is not None and data.is_dir() else []
    except OSError:  # as below: what can't be looked into holds no trail that a run could use
        inside_data = []
    for inside in inside_data:
        if (inside / "ledger" / "events").is_dir() and os.path.realpath(inside) != os.path.realpath(own):
            yield inside
    seen = {os.path.realpath(own), *([os.path.realpath(data)] if data is not None else [])}
    todo = deque([(str(base), 0)])
    budget = MOST_ENTRIES
    while todo and budget > 0:
        folder, depth = todo.popleft()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        budget -= len(entries)
        names = {entry.name for entry in entries}
        if depth and (names & {*OWN_MARKS, "pyvenv.cfg"}):
            continue
        for entry in entries:
            path = entry.path
            if not entry.is_dir() or entry.name in PASSED_OVER:
                continue
            real = os.path.realpath(path)
            if real in seen:
                continue
            if os.path.isdir(os.path.join(path, "ledger", "events")):  # noqa: PTH112, PTH118 (many of them)
                seen.add(real)
                yield Path(path)
            elif depth < DEEPEST and not entry.is_symlink():
                todo.append((path, depth + 1))


def _blobs(top: Path, names: list[str]) -> dict[str, bytes]:
    """Blob id → content, of those that are here."""
    output = git(top, "cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode()) if names else b""
    found: dict[str, bytes] = {}
    for name in names:
        head, _, output = (output or b"").partition(b"\n")
        if len(fields := head.split()) == 3:
            size = int(fields[2])
            found[name] = output[:size]
            output = output[size + 1 :]
    return found
