"""Step 10 of an audit: papers that were written from a trail, every number of theirs held against it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import ledger, paper
from harness.errors import HarnessError, Tampered
from harness.ledger import Ledger
from harness.ledger.audit import AuditFinding, Evidence
from harness.paper import Study
from harness.pipeline.paper import Values, list_pictures, read_studies
from harness.pipeline.paper_manifest import find_changed, read_manifest, write_command
from harness.system.reading import LARGEST_FILE, read_regular
from harness.wording import make_plain_line

ENDINGS = (".tex", ".md")
SHOWN = 5
"""Numbers of a file that are named where many differ."""


def check(evidence: Evidence, papers: Sequence[Path], named: Path | None = None) -> Iterator[AuditFinding]:
    """Find numbers of papers that are not the trail's, and papers of which that can't be said.

    ``named``: the folder of the trail, if it had to be named; remedies then name it too.
    """
    for folder in papers:
        yield from _check_paper(evidence, folder, named)


def _check_paper(evidence: Evidence, folder: Path, named: Path | None) -> Iterator[AuditFinding]:
    trail = Ledger(evidence.files.root)
    try:
        manifest = read_manifest(folder)
        assert manifest is not None, "it was found by it"
    except HarnessError as error:
        what = f"a paper that can't be held against the trail: {error.message}"
        yield AuditFinding("paper-unreadable", what, error.where or str(folder), command=error.remedy)
        return
    try:
        runs = [ledger.find_judged(trail, str(row["run"])) for row in manifest["runs"]]
        studies = read_studies(runs, trail)
        texts = paper.write_paper(studies, _list_kept_pictures(studies, manifest))
    except HarnessError as error:
        what = f"a paper that can't be held against the trail: {error.message}"
        command = error.remedy if isinstance(error, Tampered) else None
        yield AuditFinding("paper-unreadable", what, error.where or str(folder), command=command)
        return
    changed = find_changed(folder, manifest)
    again = write_command([study.run.name for study in studies], folder, changed, named)
    if changed:
        again = f"keep what you wrote in files of your own, then {again}"
    own = {folder / name for name in manifest["files"]}
    for finding in _check_marked(folder, Values(trail, studies), _list_written(texts), own):
        yield replace(finding, command=finding.command or again)
    later = _list_later(trail, studies, manifest["heads"])
    for name in sorted({*manifest["files"], *texts}):
        for finding in _check_file(folder / name, texts.get(name), manifest["files"].get(name), later):
            yield finding if finding.code == "paper-words" else replace(finding, command=again)


def _list_kept_pictures(studies: Sequence[Study], manifest: dict[str, Any]) -> list[paper.Picture]:
    """List the figures that the paper has: one that could not be drawn when it was written is not in its text."""
    return [picture for picture in list_pictures(studies) if f"figures/{picture.name}.pdf" in manifest["files"]]


def _list_written(texts: Mapping[str, str]) -> frozenset[tuple[str, str, str]]:
    """List run, place and text of every marked number as it would be written now."""
    found = (one for name, text in texts.items() for one in paper.find_marked(text, tex=name.endswith(".tex")))
    return frozenset((one.run, one.place, one.text) for one in found)


def _check_marked(
    folder: Path, values: Values, written: frozenset[tuple[str, str, str]], own: Container[Path]
) -> Iterator[AuditFinding]:
    """Find marked numbers, in whatever text of the folder, that are not what the trail has at their places.

    Those of texts that are not the paper's ``own`` files only their author can mend.
    """
    for path in sorted(path for ending in ENDINGS for path in folder.rglob(f"*{ending}")):
        try:
            text = read_regular(path, LARGEST_FILE).decode(errors="replace")
        except OSError:
            continue  # a file of the paper's own is told of where the files are
        for marked in paper.find_marked(text, tex=path.suffix == ".tex"):
            if (marked.run, marked.place, marked.text) in written:
                continue
            where, place = f"{path}:{marked.line}", f"{marked.run}:{marked.place}"
            mend = None if path in own else "take the number with its mark from the paper's own files"
            try:
                value = values.find(marked.run, marked.place)
            except LookupError:
                what = f"a number that is marked {place}, where this trail has nothing"
                yield AuditFinding("paper-number", what, where, None, marked.text, command=mend)
                continue
            except HarnessError as error:
                yield AuditFinding("paper-unreadable", f"the number {place} can't be looked up: {error.message}", where)
                continue
            if not paper.is_written(marked.text, value):
                what = f"a number of a paper is not that of its run, {place}"
                mend = mend and f"write what the trail has there, {make_plain_line(str(value))}, or {mend}"
                yield AuditFinding("paper-number", what, where, str(value), marked.text, command=mend)


def _list_later(trail: Ledger, studies: Sequence[Study], heads: Sequence[Any]) -> int:
    """Count the events that the trail has and had not when a paper was written."""
    index = trail.index()
    known = [head for head in heads if isinstance(head, str) and index.event(head) is not None]
    return sum(
        not any(event.digest == head or index.before(event.digest, head) for head in known) for event in index.events
    )


def _check_file(path: Path, written: str | None, digest: str | None, later: int) -> Iterator[AuditFinding]:
    """Compare a file of a paper with what would be written now; of a figure, with what was written."""
    try:
        data = read_regular(path, LARGEST_FILE)
    except OSError as error:
        what = f"a file of a paper that can't be read: {error.strerror or error}"
        yield AuditFinding("paper-missing", what, str(path))
        return
    edited = hashlib.sha256(data).hexdigest() != digest
    if written is None:
        if edited:
            what = "a figure or file of a paper is not the one that was written"
            yield AuditFinding("paper-figure", what, str(path), digest, hashlib.sha256(data).hexdigest())
        return
    text = data.decode(errors="replace")
    if text == written:
        return
    owed, got = Counter(paper.list_numbers(written)), Counter(paper.list_numbers(text))
    if owed == got:
        how = "were edited" if edited else "are written otherwise by this version"
        yield AuditFinding("paper-words", f"words of a paper {how}; its numbers are the trail's", str(path))
        return
    expected, found = (", ".join(list((one - other).elements())[:SHOWN]) for one, other in ((owed, got), (got, owed)))
    if edited or not later:
        what = "numbers of a paper are not those that follow from the trail"
        yield AuditFinding("paper-number", what, str(path), expected or "nothing", found or "nothing")
        return
    what = f"the trail has gone on since this was written, by {later} events, and numbers of it no longer match"
    yield AuditFinding("paper-outdated", what, str(path), expected or "nothing", found or "nothing")
