"""Loading of hypotheses: reading, the order of checks, and comparison of several files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from harness.errors import Finding, InvalidHypothesis, UsageError
from harness.records import Claims, Hypothesis
from harness.spec import forms, rules, yaml
from harness.spec.arms import expand
from harness.spec.claims import check_claims
from harness.spec.folders import CLAIMS, Listing, is_folder, list_path, read_bytes, report_unread
from harness.spec.for_each import FOR_EACH
from harness.spec.placeholders import find_placeholders
from harness.spec.registered import Known, describe_question, find_changes, find_moved_claims, find_opposed, find_reruns
from harness.spec.tree import MAX_FINDINGS, Node, Place, Problem, Source

ID_LINE = re.compile(rb"^id:[ \t]*['\"]?([a-z0-9-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Loaded:
    """A valid hypothesis with the claims beside it, and the bytes from which both were read."""

    hypothesis: Hypothesis
    claims: Claims
    raw: bytes
    claims_raw: bytes
    """Contents of claims.yaml; empty if there is none."""
    path: Path
    warnings: tuple[Finding, ...] = ()
    """Oddities of the file that do not stop it."""


@dataclass(frozen=True)
class Seen:
    """A file that was examined, whatever is wrong with it."""

    path: Path
    id: str | None
    """Id that the file gives itself; None if it can't be read or gives none."""
    loaded: Loaded | None = None
    """The loaded hypothesis; None if the file has errors."""
    twin: Path | None = None
    """An earlier file with the same id."""
    checked: bool = True
    """True if the file was checked. It is not if its place or name is not that of a hypothesis."""


@dataclass(frozen=True)
class FolderReport:
    """The result of checking files together: findings sorted by place, and the valid hypotheses."""

    findings: tuple[Finding, ...]
    loaded: tuple[Loaded, ...]
    seen: tuple[Seen, ...] = ()
    """Every file that is or may be a hypothesis, including those left out or unreadable."""


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
        UsageError: The file does not exist, is not a regular file, or can't be read.
        InvalidHypothesis: The file or the claims.yaml beside it is invalid; the error holds all findings.
    """
    claims = _read_claims_beside(path)
    return _require_sound(_check(path, _read(path), claims), claims)


def parse(raw: bytes, claims_raw: bytes, name: str) -> Loaded:
    """Check a hypothesis and its claims in the bytes that a registration keeps; messages call it ``name``.

    Raises:
        InvalidHypothesis: They are invalid, or no longer valid.
    """
    claims = _parse_claims(claims_raw, CLAIMS) if claims_raw else _ClaimsFile([], Claims(), b"", exists=False)
    return _require_sound(_check(Path(name), raw, claims, registered=True), claims)


def parse_form(raw: bytes, name: str) -> Hypothesis:
    """Read a hypothesis as its author wrote and ordered it, from bytes that a registration keeps; no rule is applied.

    Raises:
        InvalidHypothesis: These bytes are none; messages call them ``name``.
    """
    document = yaml.read(raw, name)
    findings, hypothesis = list(document.findings), None
    if document.root is not None and isinstance(document.root.value, dict):
        root, problems = expand(document.root)
        hypothesis, misfits = forms.validate(Hypothesis, root)
        findings += [*document.source.findings(document.root, problems), *document.source.findings(root, misfits)]
    errors = _select_errors(findings)
    if errors or hypothesis is None:
        raise InvalidHypothesis(errors)
    return hypothesis


def make_warning(loaded: Loaded, rule: str, path: tuple[str | int, ...], message: str, remedy: str) -> Finding:
    """Return a warning about a valid file at a path of the document, for its author to consider."""
    document = yaml.read(loaded.raw, str(loaded.path))
    root = document.root
    assert root is not None  # it was read before
    return document.source.findings(root, [Problem(path, message, remedy, severity="warning", rule=rule)])[0]


def make_error(loaded: Loaded, rule: str, path: tuple[str | int, ...], message: str, remedy: str) -> Finding:
    """Return a finding about a file that is valid by itself, at a path of the document, that stops a run."""
    document = yaml.read(loaded.raw, str(loaded.path))
    assert document.root is not None  # it was read before
    expanded, _ = expand(document.root)
    return document.source.findings(expanded, [Problem(path, message, remedy, rule=rule)])[0]


def load_claims(path: Path) -> Claims:
    """Read and check a claims file.

    Raises:
        UsageError: The file can't be read.
        InvalidHypothesis: The file is invalid; the error holds all findings.
    """
    return parse_claims(read_bytes(path), str(path))


def parse_claims(raw: bytes, name: str = CLAIMS) -> Claims:
    """Return the claims in a file's bytes, of which there may be none.

    Raises:
        InvalidHypothesis: They are invalid, or no longer valid.
    """
    found = _parse_claims(raw, name) if raw else _ClaimsFile([], Claims(), b"", exists=False)
    if found.claims is None or found.findings:
        raise InvalidHypothesis(found.findings)
    return found.claims


def read_id(raw: bytes) -> str | None:
    """Return the id that a file gives itself, whatever else is wrong with it; None if it gives none."""
    root = yaml.read(raw, "").root
    node = root.get("id") if root is not None else None
    if node is not None and isinstance(node.value, str):
        return node.value
    line = ID_LINE.search(raw)  # the rest may not be YAML at all
    return line[1].decode() if line is not None else None


def _require_sound(checked: _Checked, claims: _ClaimsFile) -> Loaded:
    errors = _select_errors([*checked.findings, *claims.findings])
    if errors or checked.loaded is None:
        raise InvalidHypothesis(errors)
    return checked.loaded


def _find_one_trail(_: Path) -> Hashable:
    return None


def load_folder(
    paths: Sequence[Path], known: Sequence[Known] = (), trail_of: Callable[[Path], Hashable] = _find_one_trail
) -> FolderReport:
    """Check files, and all ``*.yaml`` files of folders, one by one, against each other and against ``known``.

    ``known`` is what is registered: ids differ, a registered file keeps its meaning, and the same question is not asked
    again in secret. ``trail_of`` returns the trail that a file belongs to; files and registrations of different trails
    are not compared. If there are several files, one that can't be read is a finding, and so is whatever a folder holds
    that is left out.

    Raises:
        UsageError: The only path does not exist, can't be read, or is a folder without hypotheses.
    """
    files, aside, findings = _gather(paths)
    alone = len(paths) == 1 and not is_folder(paths[0])
    claims: dict[str, _ClaimsFile] = {}
    seen: list[Seen] = []
    sound: list[_Checked] = []
    first: dict[tuple[Hashable, str], Path] = {}
    for file in files:
        try:
            if (folder := os.path.dirname(os.path.realpath(file))) not in claims:  # noqa: PTH120
                claims[folder] = _read_claims_beside(file, tell=not alone)
                findings += claims[folder].findings
            if file.name == CLAIMS:
                if not claims[folder].exists:
                    read_bytes(file)  # raises an error that says what it is instead
                continue
            raw = read_bytes(file)
        except UsageError as error:
            if alone:
                raise
            findings.append(report_unread(file, error))
            seen.append(Seen(file, None))
            continue
        checked = _check(file, raw, claims[folder])
        findings += checked.findings
        id_ = checked.id if checked.id is not None else read_id(raw)
        twin = first.setdefault((trail_of(file), checked.id), file) if checked.id is not None else file
        seen.append(Seen(file, id_, checked.loaded, twin if twin != file else None))
        if twin != file:
            message = f"the id {checked.id!r} is also that of {twin}"
            remedy = "give one of them another id"
            findings.append(checked.source.finding(checked.id_at, message, remedy, rule="unique-id"))
        elif checked.loaded is not None:
            sound.append(checked)
    findings += _compare(sound, known, trail_of)
    loaded = tuple(checked.loaded for checked in sound if checked.loaded is not None)
    seen += [Seen(file, _find_id(file), checked=False) for file in aside]
    return FolderReport(tuple(sorted(set(findings), key=_find_place)), loaded, tuple(seen))


def _gather(paths: Sequence[Path]) -> tuple[list[Path], list[Path], list[Finding]]:
    """Return every file that the paths stand for once, the files that are left out, and the findings about them."""
    found: list[Listing] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            found.append(list_path(path))
        except UsageError as error:
            if len(paths) == 1:
                raise
            findings.append(report_unread(path, error))
    files: dict[str, Path] = {}
    for file in (file for listing in found for file in listing.files):
        files.setdefault(os.path.realpath(file), file)  # resolve() raises on cyclic links
    left_out = {os.path.realpath(finding.file): finding for listing in found for finding in listing.findings}
    aside = {os.path.realpath(file): file for listing in found for file in listing.aside}
    findings += [finding for name, finding in left_out.items() if name not in files]
    return list(files.values()), [file for name, file in aside.items() if name not in files], findings


def _find_id(path: Path) -> str | None:
    try:
        return read_id(read_bytes(path))
    except UsageError:
        return None


def _compare(
    sound: Sequence[_Checked], known: Sequence[Known], trail_of: Callable[[Path], Hashable]
) -> Iterator[Finding]:
    """Yield findings about several valid files, or files and registrations, of one trail."""
    registered = {(entry.trail, entry.form.id): entry for entry in known}
    alike: dict[tuple[Hashable, str], list[Hypothesis]] = {}
    for checked in sound:
        assert checked.loaded is not None
        assert checked.root is not None
        hypothesis, trail = checked.loaded.hypothesis, trail_of(checked.loaded.path)
        problems: list[Problem] = []
        if (entry := registered.get((trail, hypothesis.id))) is not None:
            problems += find_changes(checked.root, hypothesis, entry)
        else:  # a registered file was compared when it was new
            problems += find_reruns(hypothesis, [entry for entry in known if entry.trail == trail])
        if len(hypothesis.decisions) == 1:
            asked = json.dumps(describe_question(hypothesis, *hypothesis.decisions.values()), sort_keys=True)
            same = alike.setdefault((trail, asked), [])
            problems += next(filter(None, (list(find_opposed(hypothesis, other)) for other in same)), [])
            if find_moved_claims(hypothesis):
                same.append(hypothesis)
        yield from checked.source.findings(checked.root, problems)


def _read(path: Path) -> bytes:
    if path.name == CLAIMS:
        raise UsageError(f"{CLAIMS} holds claims, not a hypothesis", where=str(path), remedy="name a hypothesis file")
    return read_bytes(path)


def _check(path: Path, raw: bytes, beside: _ClaimsFile, *, registered: bool = False) -> _Checked:
    """Check a file completely; of a ``registered`` one, neither placeholders, preconditions nor the command's place."""
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
    findings += source.findings(document.root, problems)
    if not registered:
        findings += source.findings(document.root, islice(find_placeholders(document.root), MAX_FINDINGS))
    hypothesis, misfits = forms.validate(Hypothesis, root)
    broken = rules.check_rules(root, beside.claims if beside.exists else None, hypothesis, registered=registered)
    if unexpanded := {problem.path[:2] for problem in problems if problem.rule == FOR_EACH}:
        # What would follow from entries that are not there says nothing.
        misfits, broken = [misfit for misfit in misfits if misfit.path[:2] not in unexpanded], iter(())
    later = source.findings(root, [*misfits, *islice(broken, MAX_FINDINGS)])
    if not beside.exists and (missing := rules.find_claim_reference(root)):
        later += source.findings(root, [missing])
    refused = {(finding.line, finding.column) for finding in _select_errors(findings)}
    findings += [finding for finding in dict.fromkeys(later) if (finding.line, finding.column) not in refused]
    loaded = None
    if (
        hypothesis is not None
        and beside.claims is not None
        and not _select_errors(findings)
        and not _select_errors(beside.findings)
    ):
        loaded = Loaded(hypothesis, beside.claims, raw, beside.raw, path, tuple(findings))
    node = root.get("id") or root
    return _Checked(findings, loaded, node.value if isinstance(node.value, str) else None, node.at, source, root)


def _select_errors(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]


def _read_claims_beside(path: Path, *, tell: bool = False) -> _ClaimsFile:
    """Return the claims beside a file; for a link, beside its target.

    With ``tell``, an unreadable claims file is a finding instead of an error.

    Raises:
        UsageError: The claims can't be read.
    """
    file = (Path(os.path.realpath(path)) if path.is_symlink() else path).with_name(CLAIMS)
    if not os.path.lexists(file):  # nor if the hypothesis beside it can't be reached either, which is reported
        return _ClaimsFile([], Claims(), b"", exists=False)
    try:
        return _parse_claims(read_bytes(file), str(file))
    except UsageError as error:
        if not tell:
            raise
        return _ClaimsFile([report_unread(file, error)], None, b"", exists=True)


def _parse_claims(raw: bytes, file: str) -> _ClaimsFile:
    document = yaml.read(raw, file)
    findings = list(document.findings)
    if document.root is None:
        return _ClaimsFile(findings, None, raw, exists=True)
    claims, misfits = forms.validate(Claims, document.root)
    problems = misfits if claims is None else [replace(found, rule="claims") for found in check_claims(claims)]
    found = document.source.findings(document.root, problems)
    refused = {(finding.line, finding.column) for finding in findings}
    findings += [finding for finding in dict.fromkeys(found) if (finding.line, finding.column) not in refused]
    return _ClaimsFile(findings, claims, raw, exists=True)


def _find_place(finding: Finding) -> tuple[str, int, int, str]:
    return finding.file, finding.line, finding.column, finding.message
