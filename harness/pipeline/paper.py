"""Papers from judged runs: read from the trail, written into a folder as a whole, with a manifest of all numbers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import __version__, ledger, paper, verdict
from harness.errors import HarnessError, Tampered, UsageError
from harness.ledger import Ledger, StartedRun
from harness.ledger.bodies import AnchoredBody, RegisteredBody
from harness.ledger.covered import covers
from harness.ledger.prior_data_bodies import PilotBody
from harness.ledger.rerun_bodies import RepeatedBody, ReplicatedBody
from harness.paper import FAMILY, Family, Picture, Study
from harness.pipeline.families import read_families
from harness.pipeline.missing_files import read_form
from harness.pipeline.paper_manifest import FORM, MANIFEST, find_changed, quote_path, read_manifest
from harness.pipeline.run_files import StoredRun, read_file, read_run
from harness.records import Anchor, Decision
from harness.system.names import refuse_file_name
from harness.system.storage import write_atomic, write_beside
from harness.verdict.canvas import Drawing
from harness.wording import suggest

SHOWN = "learning-curves"


@dataclass(frozen=True)
class Written:
    """A paper that was written."""

    folder: Path
    numbers: int
    """Number of marked numbers."""
    undrawn: tuple[HarnessError, ...]
    """Figures that could not be drawn here; the text goes without them."""


def write_paper(names: Sequence[str], trail: Ledger, out: Path) -> Written:
    """Write the paper of hypotheses' last verdicts, or of runs, into a folder: all of it, or nothing.

    A folder that has a paper already gets the new one; whatever else lies there stays.

    Raises:
        UsageError: nothing of such a name was judged, a run is named twice, or the folder has files that are no paper's
            or that somebody changed.
        Tampered: a run's files are not those that the ledger names.
        StorageFailed: a file could not be written.
    """
    _refuse_folder(out, trail)
    studies = read_studies([ledger.find_judged(trail, name) for name in names], trail)
    drawn, undrawn = _draw(studies)
    texts = paper.write_paper(studies, [picture for picture in list_pictures(studies) if picture.name in drawn])
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"figures/{name}.pdf": data for name, data in drawn.items()}
    manifest = _make_manifest(studies, trail, out, files, texts)
    _write_all(out, files | {MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"})
    return Written(out, len(manifest["numbers"]), undrawn)


def write_form(name: str, form: str, trail: Ledger, out: Path | None) -> str:
    """Return a registration in the question form of OSF or AsPredicted, as Markdown; write it to ``out``, if given.

    Raises:
        UsageError: no such hypothesis is registered here, no such form is known, or ``out`` is there already.
    """
    if form not in paper.FORMS:
        message = f"unknown form {form!r}{suggest(form, paper.FORMS)}"
        raise UsageError(message, where="--form", remedy=f"use {' or '.join(paper.FORMS)}")
    if out is not None and os.path.lexists(out):
        raise UsageError("there is something already", where=str(out), remedy="name a path that is free")
    fixed = trail.index().fixing(name)
    if not fixed:
        known = ", ".join(trail.index().hypotheses)
        remedy = f"registered here are: {known}" if known else "register it first: harness register FILE"
        message = f"no hypothesis {name!r} is registered{suggest(name, trail.index().hypotheses)}"
        raise UsageError(message, where=str(trail.root), remedy=remedy)
    hypothesis = read_form(trail, fixed)
    if hypothesis is None:
        raise HarnessError("this version cannot read its registered form", where=name, remedy="update harness")
    first = next(entry for entry in fixed if isinstance(entry.body, RegisteredBody))
    note = (
        f"Registered as event {first.digest}, at {first.claimed_time} by the writer's clock; "
        f"SHA-256 of the registered file: {fixed[-1].body.raw}."
    )
    piloted = trail.index().of(name, PilotBody)
    pilots = sum(trail.index().before(entry.digest, first.digest) for entry in piloted)
    text = paper.write_form(form, hypothesis, note, pilots)
    if out is not None:
        write_atomic(out, text.encode())
    return text


def read_studies(runs: Sequence[StartedRun], trail: Ledger) -> list[Study]:
    """Read judged runs with all that a paper tells of them, in their order.

    Raises:
        UsageError: a run is named twice, or a file is missing.
        Tampered: the files are not those that the ledger names.
    """
    for place, run in enumerate(runs):
        if any(run.digest == other.digest for other in runs[:place]):
            raise UsageError(f"run {run.name} of {run.hypothesis} is named twice", remedy="name each run once")
    studies = [_read_study(run, trail, number) for number, run in enumerate(runs, 1)]
    return _add_families(studies, trail)


def _read_study(run: StartedRun, trail: Ledger, number: int) -> Study:
    index, stored = trail.index(), read_run(trail, run.digest)
    entered = index.verdict(run.digest)
    assert entered is not None, "it was found by its verdict"
    decision = _read_decision(stored)
    before = ledger.list_anchors_before(index, run)
    every = tuple(
        Anchor(head=entry.body.head, kind=entry.body.kind, by=entry.body.by, time=entry.body.time)
        for entry in index.entries(AnchoredBody)
        if covers(index, entry.body.head, run.body.registration)
    )
    return Study(
        form=stored.registered.hypothesis,
        registration=ledger.find_registration_of(index, run),
        run=run,
        verdict=entered.digest,
        files=stored.recorded,
        decision=decision,
        measurements=stored.measurements,
        provenance=stored.provenance,
        attempts=ledger.list_attempts(trail, run.hypothesis),
        deviating=ledger.find_deviating(trail, run.hypothesis),
        anchors=before,
        later_anchors=tuple(anchor for anchor in every if anchor not in before),
        amendments=ledger.list_amendments(index, run.hypothesis),
        replicated=tuple(e.body for e in index.entries(ReplicatedBody) if e.body.run == run.digest),
        repeated=tuple(e for e in index.entries(RepeatedBody) if e.body.run == run.digest),
        family=None,
        choices={} if stored.search is None else stored.search.choices,
        number=number,
    )


def _read_decision(stored: StoredRun) -> Decision:
    where = stored.folder / "verdict.json"
    try:
        return Decision.model_validate(json.loads(read_file(where))["decision"])
    except (ValueError, KeyError, TypeError) as error:  # written by whoever had the ledger name its digest
        told = f"this is not a verdict of a form that is known here: {type(error).__name__}"
        raise HarnessError(told, where=str(where), remedy="harness audit --recompute") from error


def _add_families(studies: Sequence[Study], trail: Ledger) -> list[Study]:
    if all(study.form.family is None for study in studies):
        return list(studies)
    families = {family.name: family for family in read_families(trail, ())}
    found = []
    for study in studies:
        family = families.get(study.form.family or "")
        row = next((row for row in family.rows if row.hypothesis == study.form.id), None) if family else None
        if family is None or row is None:
            found.append(study)
            continue
        own = row.verdict is not None and row.verdict.run == study.run.name
        told = Family(family.name, len(family.rows), family.alpha, row.adjusted if own else None)
        found.append(replace(study, family=told))
    return found


def list_pictures(studies: Sequence[Study]) -> list[Picture]:
    """Return the figures of studies: those of their decisions and their learning curves are shown in the text."""
    return [picture for study in studies for picture, _ in _list_drawings(study)]


def _list_drawings(study: Study) -> list[tuple[Picture, Drawing]]:
    decided = {part.name for part in study.decision.decisions}
    found = []
    for file, drawing in verdict.list_drawings(study.form, study.measurements, study.decision).items():
        stem = Path(file).name.removesuffix(".svg")
        name = f"{study.run.name}-{stem}"
        found.append((Picture(study, name, drawing.alt, stem in decided or stem == SHOWN), drawing))
    return found


def _draw(studies: Sequence[Study]) -> tuple[dict[str, bytes], tuple[HarnessError, ...]]:
    drawn: dict[str, bytes] = {}
    failed: list[HarnessError] = []
    for study in studies:
        for picture, drawing in _list_drawings(study):
            try:
                drawn[picture.name] = drawing.svg(form="pdf")
            except HarnessError as error:
                failed.append(error)
    return drawn, tuple(failed)


def _make_manifest(
    studies: Sequence[Study], trail: Ledger, out: Path, files: Mapping[str, bytes], texts: Mapping[str, str]
) -> dict[str, Any]:
    values = Values(trail, studies)
    numbers: dict[str, dict[str, Any]] = {}
    for name, text in texts.items():
        for marked in paper.find_marked(text, tex=name.endswith(".tex")):
            place = f"{marked.run}:{marked.place}"
            row = numbers.setdefault(
                place, {"value": values.find(marked.run, marked.place), "text": marked.text, "files": []}
            )
            row["files"] += [name] * (name not in row["files"])
    return {
        "form": FORM,
        "harness": __version__,
        "trail": Path(os.path.relpath(trail.root, out)).as_posix(),
        "heads": list(trail.index().heads),
        "runs": [
            {
                "hypothesis": study.form.id,
                "run": study.run.digest,
                "verdict": study.verdict,
                "registered": study.run.body.raw,
                "verdict.json": study.files["verdict.json"],
            }
            for study in studies
        ],
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        "numbers": numbers,
    }


class Values:
    """Values of the trail at the places that numbers are marked with."""

    def __init__(self, trail: Ledger, studies: Sequence[Study]) -> None:
        self.trail = trail
        self.studies = tuple(studies)
        self._read: dict[str, Any] = {}

    def find(self, run: str, place: str) -> Any:
        """Return the value at a place.

        Raises:
            LookupError: There is no such run or place.
            HarnessError: A file is not the one that the ledger names.
        """
        study = next((study for study in self.studies if study.run.name == run), None)
        if place == FAMILY:
            if study is None or study.family is None:
                raise LookupError(place)
            return study.family.adjusted
        if run not in self._read:
            self._read[run] = self._read_verdict(run)
        return paper.find_value(self._read[run], place)

    def _read_verdict(self, run: str) -> Any:
        index = self.trail.index()
        found = [(start, entered) for start, entered in index.judged() if start.name == run]
        if len(found) != 1:
            raise LookupError(run)
        start, entered = found[0]
        path = self.trail.root / start.folder / "verdict.json"
        data = read_file(path)
        if hashlib.sha256(data).hexdigest() != entered.body.files.get("verdict.json"):
            raise Tampered("this file is not the one that the ledger's verdict names", where=str(path))
        return json.loads(data)


def _refuse_folder(out: Path, trail: Ledger) -> None:
    """Refuse a folder that would lose something by a paper.

    Raises:
        UsageError: it is none, has other files than a paper's, or files of a paper that somebody changed.
    """
    remedy = "name a new folder, or an empty one: --out FOLDER"
    if os.path.lexists(out) and not out.is_dir():
        raise UsageError("this is not a folder", where=str(out), remedy=remedy)
    refuse_file_name(out, "--out", "a paper is a folder with paper.tex, paper.md and more in it: --out FOLDER")
    own, root = Path(os.path.realpath(out)), Path(os.path.realpath(trail.root))
    if own == root or own.is_relative_to(root) or root.is_relative_to(own):
        raise UsageError("this folder and that of the trail lie in one another", where=str(out), remedy=remedy)
    if not out.is_dir():
        return
    manifest = read_manifest(out)
    if manifest is None:
        if any(out.iterdir()):
            raise UsageError("there are other files here than a paper's", where=str(out), remedy=remedy)
        return
    if changed := find_changed(out, manifest):
        shown = ", ".join(path.relative_to(out).as_posix() for path in changed[1:])
        raise UsageError(
            f"this file was changed since harness paper wrote it{f', and so were {shown}' if shown else ''}",
            where=str(changed[0]),
            remedy=f"keep what you wrote in files of your own, then rm {' '.join(map(quote_path, changed))}, and give "
            "the command again",
        )


def _write_all(out: Path, files: Mapping[str, bytes]) -> None:
    """Write all files, or none: each lies beside its place before the first takes it; the manifest takes it last.

    Files of an earlier paper that this one has no more are removed; that nobody changed them was seen before.
    """
    before = read_manifest(out) if out.is_dir() else None
    made = [folder for folder in (out, out / "figures") if not folder.exists()]
    done = False
    try:
        with ExitStack() as stack:
            ready = {name: stack.enter_context(write_beside(out / name, 0o644, data)) for name, data in files.items()}
            for name, temporary in ready.items():
                temporary.replace(out / name)
            done = True
    finally:
        if not done:
            for folder in reversed(made):
                with suppress(OSError):  # it was never made
                    folder.rmdir()
    for name in before["files"] if before is not None else ():
        path = out / name
        inside = Path(os.path.normpath(path)).is_relative_to(os.path.normpath(out))
        if name not in files and inside and path.is_file():
            path.unlink()
