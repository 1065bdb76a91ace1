"""A program's code as git has it: pinned at registration, refused where it was changed, and read back for a run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from harness.errors import DeviationRefused, Tampered, UsageError
from harness.ledger.git import Repository, ask, find_repository, git
from harness.records.program import Program, ProgramPins
from harness.wording import format_count

LISTED, FEW = 20, 5
COMMIT = re.compile(r"[0-9a-f]{7,64}")
LARGEST = 2**30
"""Most bytes of code, which is held in memory and copied for every replica."""
PLAIN = "--no-replace-objects"
"""Option of git: an object is what its name says, whatever a repository would show instead."""
SUBMODULE = "160000"
TREE = "040000"
MARKS = {"100755": "+x", "120000": "+link"}
"""Mode of a file that is pinned by itself → what follows its identity."""
LEFT_OUT = ("hypotheses", "verdicts")
"""Folders that belong to the pre-registration and not to the program, where the whole project is its code."""


def pin_program(program: Program, root: Path, trail: Path) -> ProgramPins:
    """Pin a program as it is committed, with its lock file and its inputs as they are on this machine.

    Raises:
        UsageError: There is no commit, or what is to be pinned is missing, was changed since, or is not what the file
            says.
    """
    where = find_repository(root)
    if where.commit is None:
        message = f"a program's code is pinned by git, and {where.problem}"
        raise UsageError(message, where="program.code", remedy=where.remedy)
    aside = _list_aside(root, trail)
    trees: dict[str, str] = {}
    for path in program.code.git:
        trees |= _find_trees(root, where, path, aside)
    _refuse_folder(program, trees)
    _refuse_dirty(root, program.code.git, aside)
    return ProgramPins(
        commit=where.commit,
        trees=dict(sorted(trees.items())),
        lock=_digest(root / program.lock, "program.lock", "name the lock file, or write lock: none")
        if program.has_lock
        else None,
        image=program.image,
        inputs={name: digest_input(name, program, root) for name in program.inputs},
    )


def digest_input(name: str, program: Program, root: Path) -> str:
    """Return the digest of an input, which is the one that the file names.

    Raises:
        UsageError: It can't be read, or is another one.
    """
    told, where = program.inputs[name], f"program.inputs.{name}"
    got = _digest(root / told.path, where, "put the file there; harness never fetches it")
    if got != told.sha256:
        message = f"{told.path} is not the file that the hypothesis names: expected {told.sha256[:12]}, got {got[:12]}"
        raise UsageError(message, where=where, remedy="get that file back; another one is another experiment")
    return got


def list_program_differences(before: ProgramPins | None, now: ProgramPins | None) -> tuple[str, ...]:
    """Return what differs between a program as it was registered and as it is, one clause each; not the commit."""
    if before is None or now is None:
        return ()
    found = [
        f"{path}: {before.trees.get(path, 'none')[:12]} → {now.trees.get(path, 'none')[:12]}"
        for path in sorted({*before.trees, *now.trees})
        if before.trees.get(path) != now.trees.get(path)
    ]
    if before.lock != now.lock:
        found.append(f"the lock file: {(before.lock or 'none')[:12]} → {(now.lock or 'none')[:12]}")
    if before.image != now.image:
        found.append(f"the image: {before.image} → {now.image}")
    found += [
        f"input {name}: {before.inputs.get(name, 'none')[:12]} → {now.inputs.get(name, 'none')[:12]}"
        for name in sorted({*before.inputs, *now.inputs})
        if before.inputs.get(name) != now.inputs.get(name)
    ]
    if before.parser != now.parser:
        found.append(f"the rules by which results are read: version {before.parser} → {now.parser}")
    return tuple(found)


def refuse_other_program(before: ProgramPins | None, now: ProgramPins | None, hypothesis: str, where: Path) -> None:
    """Refuse a program that is not the registered one.

    Raises:
        DeviationRefused: Its code, lock file, image, inputs or parser differ.
    """
    if before is None or not (differing := list_program_differences(before, now)):
        return
    raise DeviationRefused(
        f"the program of {hypothesis} is not the one that was registered:\n    " + "\n    ".join(differing),
        where=str(where),
        remedy=f"go back to it (it is in git commit {before.commit[:12]}); or enter the change with harness amend FILE "
        "--reason …; or ask with the new program under a new id",
    )


def read_frozen(pins: ProgramPins, root: Path) -> dict[str, tuple[int, bytes]]:
    """Return path below the project → mode and content, of all code that was pinned.

    Raises:
        Tampered: git does not have it, or has something else under its name.
        UsageError: It is too large.
    """
    entries: list[tuple[str, str, str]] = []
    for path, identity in pins.trees.items():
        entries += _list_blobs(root, path, identity)
    names = "".join(f"{identity}\n" for _, _, identity in entries)
    answer = ask(root, PLAIN, "cat-file", "--batch", given=names.encode())
    if answer.out is None:
        raise Tampered(f"git does not give the program's code: {answer.said}", where=str(root))
    found: dict[str, tuple[int, bytes]] = {}
    at, total = 0, 0
    for name, mode, identity in entries:
        end = answer.out.find(b"\n", at)
        header = answer.out[at:end].split()
        if len(header) != 3 or header[1] != b"blob":
            raise Tampered(f"git does not have a file of the program's code: {name}", where=str(root))
        size = int(header[2])
        content = answer.out[end + 1 : end + 1 + size]
        at, total = end + 2 + size, total + size
        if _name_blob(content, identity) != identity:
            raise Tampered("git has another file than its name says", where=name, expected=identity)
        found[name] = int(mode, 8), content
        if total > LARGEST:
            remedy = "name the folders that it needs: code: {git: [src]}"
            raise UsageError(f"the code has more than {LARGEST:,} bytes", where="program.code", remedy=remedy)
    return found


def list_other_code(pins: ProgramPins, files: Mapping[str, tuple[int, bytes]]) -> tuple[str, ...]:
    """Return the pinned paths under which files, as ``read_frozen`` returns them, are others; no git is asked.

    Among them are the paths of files that no pin stands for.
    """
    found = []
    for path, pinned in pins.trees.items():
        identity, plus, mark = pinned.partition("+")
        below = {name.removeprefix(f"{path}/"): file for name, file in files.items() if name.startswith(f"{path}/")}
        if path in files:
            mode, content = files[path]
            same = (_name_blob(content, identity), plus + mark) == (identity, MARKS.get(f"{mode:o}", ""))
        else:
            same = _name_tree(below, identity) == identity
        found += [] if same else [path]
    known = tuple(f"{path}/" for path in pins.trees)
    return *found, *(name for name in files if name not in pins.trees and not name.startswith(known))


def find_missing(pins: ProgramPins, root: Path) -> Iterator[str]:
    """Yield the paths of a program's code of which git has no object."""
    for path, identity in pins.trees.items():
        if git(root, PLAIN, "cat-file", "-e", identity.partition("+")[0]) is None:
            yield path


def compare_commit(commit: str, code: tuple[str, ...], pins: ProgramPins, root: Path, trail: Path) -> str | None:
    """Say how the code of a commit differs from what was pinned of the paths ``code``; empty if it doesn't.

    None if git here has no such commit.
    """
    if not COMMIT.fullmatch(commit):
        return f"it names the code {commit}, which is no git commit"
    if git(root, PLAIN, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        return None
    where, aside, trees = find_repository(root), _list_aside(root, trail), dict[str, str]()
    for path in code:
        with suppress(UsageError):  # it is not there, and so differs
            trees |= _find_trees(root, where, path, aside, commit)
    other = sorted({path for path, _ in trees.items() ^ pins.trees.items()})
    more = f" and {len(other) - FEW} more" if len(other) > FEW else ""
    return f"it ran other code, of commit {commit[:12]}: {', '.join(other[:FEW])}{more}" if other else ""


def _list_aside(root: Path, trail: Path) -> tuple[str, ...]:
    """Return the parts of a project that are no code of a program, by their paths below it."""
    names = set(LEFT_OUT)
    inside = Path(os.path.relpath(os.path.realpath(trail), os.path.realpath(root))).parts
    return tuple(sorted(names | ({inside[0]} if len(inside) == 1 and inside[0] not in ("..", ".") else set())))


def _find_trees(
    root: Path, where: Repository, path: str, aside: tuple[str, ...], commit: str = "HEAD"
) -> dict[str, str]:
    """Return the object of a path; of the whole project, those of its entries but for the trail and hypotheses."""
    if path == ".":
        whole = f"{commit}:{where.prefix}".removesuffix("/")
        listed = [one for one in _list_tree(root, whole, "", deep=False) if one[0] not in (*aside, ".gitmodules")]
        within = [one for one in _list_tree(root, whole, "") if one[0].split("/")[0] not in aside]
    else:
        parent, _, last = f"{where.prefix}{path}".rpartition("/")
        above = path.removesuffix(last).rstrip("/")
        listed = [one for one in _list_tree(root, f"{commit}:{parent}", above, deep=False) if one[0] == path]
        within = [one for one in listed if one[1] != TREE] + _list_tree(root, f"{commit}:{where.prefix}{path}", path)
        if not listed:
            message = f"git has no {path} in commit {(where.commit or '')[:12]}"
            raise UsageError(message, where="program.code", remedy="commit it, or correct the path")
    if submodules := [name for name, mode, _ in within if mode == SUBMODULE]:
        message = f"{submodules[0]} is a submodule, whose content this repository doesn't pin"
        raise UsageError(message, where="program.code", remedy="name folders without it: code: {git: [src]}")
    return {name: identity + MARKS.get(mode, "") for name, mode, identity in listed}


def _list_tree(root: Path, identity: str, above: str, *, deep: bool = True) -> list[tuple[str, str, str]]:
    """Return path, mode and identity of a tree's entries; nothing of a file."""
    out = git(root, PLAIN, "ls-tree", "-z", "--full-tree", *(["-r"] if deep else []), identity)
    found = []
    for line in (out or b"").split(b"\0"):
        if line:
            about, _, name = line.partition(b"\t")
            mode, _, own = about.decode().split()
            found.append((f"{above}/{os.fsdecode(name)}" if above else os.fsdecode(name), mode, own))
    return found


def _list_blobs(root: Path, path: str, pinned: str) -> list[tuple[str, str, str]]:
    """Return path, mode and identity of the files that one pin stands for."""
    identity, plus, mark = pinned.partition("+")
    kind = (git(root, PLAIN, "cat-file", "-t", identity) or b"").decode().strip()
    if kind == "tree":
        return _list_tree(root, identity, path)
    if kind == "blob":
        modes = {mark: mode for mode, mark in MARKS.items()}
        return [(path, modes.get(plus + mark, "100644"), identity)]
    raise Tampered(
        f"git does not have the program's code: {path}",
        where=str(root),
        expected=identity,
        got="no such object",
        remedy="fetch the commit that the registration names, or use a full clone",
    )


def _refuse_folder(program: Program, trees: Mapping[str, str]) -> None:
    """Refuse a folder that the copy of the code would not have."""
    parts = program.folder.split("/")
    covered = any("/".join(parts[:end]) in trees for end in range(1, len(parts) + 1))
    holds = program.folder == "." or any(path.startswith(f"{program.folder}/") for path in trees)
    if not covered and not holds:
        message = f"the command is to run in {program.folder}, of which nothing is among the code"
        raise UsageError(message, where="program.folder", remedy="add the folder to code.git, and commit it")


def _refuse_dirty(root: Path, paths: tuple[str, ...], aside: tuple[str, ...]) -> None:
    """Refuse code that differs from the commit, and new files among it: what runs would not be what is here."""
    excluded = [f":(exclude){name}" for name in aside] if "." in paths else []
    out = git(root, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", *paths, *excluded)
    if out is None:
        raise UsageError("git does not say whether the code was changed", where="program.code", remedy="see git status")
    found = [os.fsdecode(line) for line in out.split(b"\0") if line]
    if not found:
        return
    names = [f"{'new' if line.startswith('??') else 'changed'}: {line[3:]}" for line in found]
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    raise UsageError(
        f"{format_count(len(names), 'file')} of the program's code {'is' if len(names) == 1 else 'are'} not committed:"
        "\n    " + "\n    ".join([*names[:LISTED], *more]),
        where="program.code",
        remedy="commit them, have .gitignore leave them out, or name the folders that are code: code: {git: [src]}",
    )


def _digest(path: Path, where: str, remedy: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}", where=where, remedy=remedy) from error


def _name_blob(content: bytes, identity: str) -> str:
    """Return the name that git gives a file's content, in the kind of digest of another name."""
    return _name_object(b"blob", content, identity)


def _name_tree(files: Mapping[str, tuple[int, bytes]], identity: str) -> str:
    """Return the name that git gives a folder with these files, in the kind of digest of another name."""
    entries: dict[bytes, bytes] = {}
    folders: dict[str, dict[str, tuple[int, bytes]]] = {}
    for path, (mode, content) in files.items():
        name, inside, rest = path.partition("/")
        if inside:
            folders.setdefault(name, {})[rest] = mode, content
        else:
            own = bytes.fromhex(_name_blob(content, identity))
            entries[os.fsencode(name)] = b"%o %b\0%b" % (mode, os.fsencode(name), own)
    for name, below in folders.items():  # which git orders as if their names ended so
        own = bytes.fromhex(_name_tree(below, identity))
        entries[os.fsencode(f"{name}/")] = b"40000 %b\0%b" % (os.fsencode(name), own)
    return _name_object(b"tree", b"".join(entries[name] for name in sorted(entries)), identity)


def _name_object(kind: bytes, content: bytes, identity: str) -> str:
    digest = hashlib.sha256 if len(identity) == 64 else hashlib.sha1
    return digest(b"%b %d\0" % (kind, len(content)) + content, usedforsecurity=False).hexdigest()
