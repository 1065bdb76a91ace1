"""From files to hypotheses: reading, the order of checks, and what several files must not share."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from harness.errors import Finding, InvalidHypothesis, UsageError
from harness.records import Claims, Hypothesis
from harness.spec import forms, rules, yaml
from harness.spec.arms import expand
from harness.spec.claims import claim_problems
from harness.spec.registered import Known, changes, moved, opposed, question, reruns
from harness.spec.text import MAX_BYTES
from harness.spec.tree import MAX_FINDINGS, Node, Place, Problem, Source

CLAIMS = "claims.yaml"


@dataclass(frozen=True)
class Loaded:
    """A valid hypothesis with the claims beside it, and the bytes that both were read from."""

    hypothesis: Hypothesis
    claims: Claims
    raw: bytes
    claims_raw: bytes
    """Empty where there is no claims.yaml."""
    path: Path
    warnings: tuple[Finding, ...] = ()
    """What is odd about the file, but does not stop it."""


@dataclass(frozen=True)
class FolderReport:
    """All files checked together: what is wrong, sorted by place, and the hypotheses that are right."""

    findings: tuple[Finding, ...]
    loaded: tuple[Loaded, ...]


@dataclass(frozen=True)
class _Checked:
    findings: list[Finding]
    loaded: Loaded | None
    id: str | None
    id_at: Place
    source: Source
    root: Node | None = None
    """The expanded document."""


@dataclass(frozen=True)
class _ClaimsFile:
    findings: list[Finding]
    claims: Claims | None
    raw: bytes
    exists: bool


def load(path: Path) -> Loaded:
    """Read and check one hypothesis.

    Raises:
        UsageError: no such file, not a file, or unreadable.
        InvalidHypothesis: with everything that is wrong with it and with the claims.yaml beside it.
    """
    claims = _claims_beside(path)
    return _sound(_check(path, _read(path), claims), claims)


def parse(raw: bytes, claims_raw: bytes, name: str) -> Loaded:
    """Check a hypothesis and its claims in the bytes that a registration keeps; ``name`` stands in messages.

    Raises:
        InvalidHypothesis: they are not valid, or not any more.
    """
    claims = _parse_claims(claims_raw, CLAIMS) if claims_raw else _ClaimsFile([], Claims(), b"", exists=False)
    return _sound(_check(Path(name), raw, claims), claims)


def warning(loaded: Loaded, rule: str, path: tuple[str | int, ...], message: str, remedy: str) -> Finding:
    """Something about a valid file that its author should think over, at a path of the document."""
    document = yaml.read(loaded.raw, str(loaded.path))
    root = document.root
    assert root is not None  # it was read before
    return document.source.findings(root, [Problem(path, message, remedy, severity="warning", rule=rule)])[0]


def load_claims(path: Path) -> Claims:
    """Read and check a claims file.

    Raises:
        UsageError: it cannot be read.
        InvalidHypothesis: with everything that is wrong with it.
    """
    return parse_claims(_bytes(path), str(path))


def parse_claims(raw: bytes, name: str = CLAIMS) -> Claims:
    """The claims in a file's bytes, of which there may be none.

    Raises:
        InvalidHypothesis: they are not valid, or not any more.
    """
    found = _parse_claims(raw, name) if raw else _ClaimsFile([], Claims(), b"", exists=False)
    if found.claims is None or found.findings:
        raise InvalidHypothesis(found.findings)
    return found.claims


def id_of(raw: bytes) -> str | None:
    """The id that a file gives itself, whatever else is wrong with it."""
    root = yaml.read(raw, "").root
    node = root.get("id") if root is not None else None
    return node.value if node is not None and isinstance(node.value, str) else None


def _sound(checked: _Checked, claims: _ClaimsFile) -> Loaded:
    errors = _errors([*checked.findings, *claims.findings])
    if errors or checked.loaded is None:
        raise InvalidHypothesis(errors)
    return checked.loaded


def load_folder(paths: Sequence[Path], known: Sequence[Known] = ()) -> FolderReport:
    """Check files, and of a folder all its ``*.yaml``, one by one, against one another, and against ``known``, what is
    registered: ids differ, a registered file keeps its meaning, and the same question is not asked again in secret.

    Raises:
        UsageError: a path that does not exist or can't be read, or a folder without hypotheses.
    """
    files: dict[str, Path] = {}
    findings: list[Finding] = []
    for path in paths:
        for file in _named(path):
            files.setdefault(os.path.realpath(file), file)  # resolve() raises on links in a circle
        if _is_folder(path):
            findings += map(_left_out, _misnamed(sorted(path.iterdir())))
    claims: dict[str, _ClaimsFile] = {}
    sound: list[_Checked] = []
    first: dict[str, Path] = {}
    for file in files.values():
        if (folder := os.path.dirname(os.path.realpath(file))) not in claims:  # noqa: PTH120
            claims[folder] = _claims_beside(file)
            findings += claims[folder].findings
        if file.name == CLAIMS:
            _bytes(file)  # checked by now, if it is there
            continue
        checked = _check(file, _read(file), claims[folder])
        findings += checked.findings
        if checked.id is not None and first.setdefault(checked.id, file) != file:
            message = f"the id {checked.id!r} is also that of {first[checked.id]}"
            remedy = "give one of them another id"
            findings.append(checked.source.finding(checked.id_at, message, remedy, rule="unique-id"))
        elif checked.loaded is not None:
            sound.append(checked)
    findings += _across(sound, known)
    loaded = tuple(checked.loaded for checked in sound if checked.loaded is not None)
    return FolderReport(tuple(sorted(set(findings), key=_place)), loaded)


def _across(sound: Sequence[_Checked], known: Sequence[Known]) -> Iterator[Finding]:
    """What several sound files, or files and registrations, say together."""
    registered = {entry.form.id: entry for entry in known}
    alike: dict[str, list[Hypothesis]] = {}
    for checked in sound:
        assert checked.loaded is not None
        assert checked.root is not None
        hypothesis = checked.loaded.hypothesis
        problems: list[Problem] = []
        if (entry := registered.get(hypothesis.id)) is not None:
            problems += changes(checked.root, hypothesis, entry)
        else:  # what is registered already was compared when it was new
            problems += reruns(hypothesis, known)
        if len(hypothesis.decisions) == 1:
            asked = json.dumps(question(hypothesis, *hypothesis.decisions.values()), sort_keys=True)
            same = alike.setdefault(asked, [])
            problems += next(filter(None, (list(opposed(hypothesis, other)) for other in same)), [])
            if moved(hypothesis):
                same.append(hypothesis)
        yield from checked.source.findings(checked.root, problems)


def _read(path: Path) -> bytes:
    if path.name == CLAIMS:
        raise UsageError(f"{CLAIMS} holds claims, not a hypothesis", where=str(path), remedy="name a hypothesis file")
    return _bytes(path)


def _check(path: Path, raw: bytes, beside: _ClaimsFile) -> _Checked:
    document = yaml.read(raw, str(path))
    source, findings = document.source, list(document.findings)
    if document.root is None:
        return _Checked(findings, None, None, (1, 1), source)
    if not isinstance(document.root.value, dict):
        findings.append(
            source.finding(
                document.root.at,
                "a hypothesis is a mapping of keys",
                "harness new writes one to start from",
                rule="form",
            )
        )
        return _Checked(findings, None, None, (1, 1), source)
    root, problems = expand(document.root)
    findings += source.findings(document.root, (replace(problem, rule="matrix") for problem in problems))
    hypothesis, misfits = forms.validate(Hypothesis, root)
    broken = rules.problems(root, beside.claims if beside.exists else None, hypothesis)
    later = source.findings(root, [*misfits, *islice(broken, MAX_FINDINGS)])
    if not beside.exists and (missing := rules.refers_to_claims(root)):
        later += source.findings(root, [missing])
    refused = {(finding.line, finding.column) for finding in findings}
    findings += [finding for finding in dict.fromkeys(later) if (finding.line, finding.column) not in refused]
    loaded = None
    if hypothesis is not None and beside.claims is not None and not _errors(findings) and not _errors(beside.findings):
        loaded = Loaded(hypothesis, beside.claims, raw, beside.raw, path, tuple(findings))
    node = root.get("id") or root
    return _Checked(findings, loaded, node.value if isinstance(node.value, str) else None, node.at, source, root)


def _errors(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]


def _claims_beside(path: Path) -> _ClaimsFile:
    # A link to a hypothesis stands for the file that it leads to, with what lies beside that.
    file = (Path(os.path.realpath(path)) if path.is_symlink() else path).with_name(CLAIMS)
    try:
        there = file.is_file()
    except OSError:  # then the hypothesis beside it can't be reached either, and that is said
        there = False
    if not there:
        return _ClaimsFile([], Claims(), b"", exists=False)
    return _parse_claims(_bytes(file), str(file))


def _parse_claims(raw: bytes, file: str) -> _ClaimsFile:
    document = yaml.read(raw, file)
    findings = list(document.findings)
    if document.root is None:
        return _ClaimsFile(findings, None, raw, exists=True)
    claims, misfits = forms.validate(Claims, document.root)
    problems = misfits if claims is None else [replace(found, rule="claims") for found in claim_problems(claims)]
    found = document.source.findings(document.root, problems)
    refused = {(finding.line, finding.column) for finding in findings}
    findings += [finding for finding in dict.fromkeys(found) if (finding.line, finding.column) not in refused]
    return _ClaimsFile(findings, claims, raw, exists=True)


def _bytes(path: Path) -> bytes:
    """The file's bytes, at most one more than may be read.

    Raises:
        UsageError: it can't be read, with names that are near where it isn't there.
    """
    if _is_folder(path):
        raise UsageError("this is a folder, not a hypothesis file", where=str(path), remedy="name a file in it")
    if path.is_symlink() and not path.exists():
        message = f"this link leads nowhere: {path.readlink()} is not there"
        raise UsageError(message, where=str(path), remedy="let it lead to a file, or remove it")
    if not path.exists():
        if near := _near(path):
            raise UsageError(f"no such file {path}; did you mean {near}?", remedy="see 'harness list'")
        raise UsageError(f"no such file {path}", remedy="check the path")
    if not path.is_file():
        raise UsageError("not a regular file", where=str(path), remedy="name a YAML file")
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise _unreadable(path, error) from error


def _named(path: Path) -> list[Path]:
    """The files that a path on the command line stands for."""
    if _is_folder(path):
        return _yaml_files(path)
    if not path.suffix and not os.path.lexists(path) and _near(path) is None:
        raise UsageError(
            f"there is no folder {path} here",
            remedy="go to the project's folder, name files, or write a first one: harness new",
        )
    return [path]


def _yaml_files(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from error
    found = [file for file in files if file.suffix == ".yaml"]
    if all(file.name == CLAIMS for file in found):
        others = _misnamed(files)
        renamed = ", ".join(f"{file.name} to {file.with_suffix('.yaml').name}" for file in others[:3])
        remedy = f"rename {renamed}" if others else "name files, or another folder"
        raise UsageError(f"no hypothesis files (*.yaml) in {folder}", remedy=remedy)
    return found


def _misnamed(files: Sequence[Path]) -> list[Path]:
    """YAML files whose names don't say so as ``*.yaml`` does."""
    return [file for file in files if file.suffix != ".yaml" and file.suffix.lower() in (".yml", ".yaml")]


def _left_out(file: Path) -> Finding:
    message = "this file is not checked, and can't be listed: a hypothesis file's name ends in .yaml"
    return Finding(
        str(file), 1, 1, message, f"rename it to {file.with_suffix('.yaml').name}", None, "warning", "syntax"
    )


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"can't be read: {error.strerror}", where=str(path), remedy="check the path and its permissions")


def _near(path: Path) -> Path | None:
    try:
        names = [file.name for file in path.parent.glob("*.yaml") if file.name != CLAIMS]
    except OSError:
        return None
    close = difflib.get_close_matches(path.name, names, n=1)
    return path.with_name(close[0]) if close else None


def _place(finding: Finding) -> tuple[str, int, int, str]:
    return finding.file, finding.line, finding.column, finding.message
