"""The files of a run: read back against the digests that the ledger names, and written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import ledger, programs, spec
from harness.domain.tuning import apply_choices
from harness.errors import Tampered, UsageError
from harness.ledger import Ledger, LookBody, StartedRun, TunedBody, mending
from harness.records import Measurements, Provenance, Registered, Search
from harness.system.reading import LARGEST_FILE, read_regular
from harness.system.storage import write_atomic


@dataclass(frozen=True)
class StoredRun:
    """A judged run as it is stored, its files compared with the digests in the ledger."""

    folder: Path
    """The run's folder."""
    registered: Registered
    """The hypothesis that it was started under."""
    measurements: Measurements
    """The content of results.json."""
    provenance: Provenance
    """The content of env.json."""
    recorded: Mapping[str, str]
    """File below its folder → digest, as its verdict names them."""
    templates: Mapping[str, bytes]
    """The run's templates by name."""
    looks: tuple[LookBody, ...]
    """The looks that the ledger tells of."""
    search: Search | None = None
    """Choice of its search, by its search.json; None if nothing was tuned. ``registered`` has the chosen arms."""
    searched: Measurements | None = None
    """The content of search.json."""
    tuned: TunedBody | None = None
    """The choice that the ledger tells of."""
    linked: programs.Accounted | None = None
    """The account of runs that were made elsewhere, made again from their exports; None if it was trained here."""


def read_run(trail: Ledger, name: str, under: Callable[[StartedRun], Registered] | None = None) -> StoredRun:
    """Read a judged run, by its first digits or by its hypothesis's id.

    ``under`` returns what a run was started under; ``read_registered`` unless whoever asks knows a shorter way.

    Raises:
        UsageError: nothing of that name was judged, or a file is missing.
        Tampered: the files are not those that the ledger names.
    """
    run = ledger.find_judged(trail, name)
    folder = trail.root / run.folder
    recorded = ledger.list_recorded_files(trail, run.digest)
    refuse_altered(folder, recorded)
    registered, searched, search = under(run) if under is not None else read_registered(trail, run), None, None
    if registered.hypothesis.tuning is not None:
        from harness import inference  # which an audit that recomputes nothing does without

        searched = Measurements.model_validate_json(read_file(folder / "search.json"))
        search = inference.choose(registered.hypothesis, searched)
        chosen = apply_choices(registered.hypothesis, search.choices)
        registered = registered.model_copy(update={"hypothesis": chosen})
    tuned = trail.index().tuned(run.digest)
    return StoredRun(
        folder=folder,
        recorded=recorded,
        registered=registered,
        search=search,
        searched=searched,
        tuned=tuned.body if tuned is not None else None,
        measurements=Measurements.model_validate_json(read_file(folder / "results.json")),
        provenance=Provenance.model_validate_json(read_file(folder / "env.json")),
        templates=read_templates(trail, run),
        looks=ledger.list_looks(trail, run.digest),
        linked=read_linked(trail, run, registered),
    )


def read_registered(trail: Ledger, run: StartedRun) -> Registered:
    """Read the hypothesis and the claims that a run was started under, whatever was amended since.

    Raises:
        UsageError: its registration is not in this trail.
        Tampered: the registered files are not those that the ledger names.
    """
    registration = ledger.find_registration_of(trail.index(), run)
    raw, claims_raw = trail.read_object(run.body.raw), trail.read_object(registration.claims)
    loaded = spec.parse(raw, claims_raw, run.hypothesis)
    return Registered(
        hypothesis=loaded.hypothesis,
        claims=loaded.claims,
        registration=registration.digest,
        seeds=registration.seeds,
    )


def read_linked(trail: Ledger, run: StartedRun, registered: Registered) -> programs.Accounted | None:
    """Account again for runs that were made elsewhere, from their exports; None if a run was trained here.

    Raises:
        Tampered: an export is missing from the ledger's objects, or no run can have been made from it.
    """
    link = run.body.linked
    if link is None:
        return None
    since = ledger.find_since(trail.index(), run.body.registration, run.digest)
    try:
        told = [programs.read_export(trail.read_object(file.sha256), file.form) for file in link.exports]
        return programs.account(registered.hypothesis, registered.seeds, since, link, told)
    except (programs.BadResults, KeyError, ValueError, AssertionError) as error:  # an event may say anything
        raise Tampered(f"its exports are none that a run is made from: {error}", where=run.name) from error


def read_templates(trail: Ledger, run: StartedRun) -> dict[str, bytes]:
    """Read the templates that a run was started with, by name.

    Raises:
        Tampered: one of them is missing from the ledger's objects, or was changed there.
    """
    return {name: trail.read_object(digest) for name, digest in run.body.pins.templates.items()}


def save_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a run's files, each whole."""
    for name, data in files.items():
        write_atomic(folder / name, data)


def read_file(path: Path) -> bytes:
    """Read a file of a run.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return read_regular(path, LARGEST_FILE)
    except OSError as error:
        raise UsageError(
            f"the ledger names this file, but it cannot be read: {error.strerror or error}",
            where=str(path),
            remedy="get the run's folder back from git or from whoever ran it",
        ) from error


def refuse_altered(folder: Path, recorded: Mapping[str, str]) -> None:
    """Refuse a run's files that are not, to the byte, those that its verdict event names.

    Raises:
        Tampered: a file has another digest.
        UsageError: a file cannot be read.
    """
    for name, expected in recorded.items():
        data = read_file(folder / name)
        got = hashlib.sha256(data).hexdigest()
        if got != expected:
            if (command := mending.advise(folder / name, folder.parent.parent, data, expected)) is not None:
                raise Tampered(mending.CHANGED, where=str(folder / name), remedy=command)
            raise Tampered(
                "this file is not the one that the ledger's verdict names",
                where=str(folder / name),
                expected=expected,
                got=got,
                remedy="get the file back from git; a verdict is never edited",
            )
