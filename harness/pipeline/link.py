"""Runs of a registered hypothesis that were made elsewhere, entered and judged: ``harness link``.

Nothing is trained and nothing runs. What a run by harness and its program is taken from sealed folders for, exports of
other people's tools tell here; from there on it is one way: account, results.json, decision, page, ledger.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from harness import ledger, programs, spec, verdict
from harness.adapters import LARGEST, ToldRun
from harness.errors import UsageError
from harness.ledger import Pins, Registration
from harness.pipeline.device_facts import describe_elsewhere
from harness.pipeline.fixing import Fixed
from harness.pipeline.program import Linked
from harness.pipeline.run import Prepared, finish_run, start_run
from harness.pipeline.run_steps import Equipment, look_around, refuse_changes
from harness.pipeline.session import Report, Session
from harness.pipeline.starts import find_sources
from harness.records import Hypothesis
from harness.records.linked import Export, Link, LinkedRuns
from harness.records.program import write_parameter
from harness.system.reading import read_regular
from harness.wording import format_count, join_words, make_plain_line, suggest

LISTED = 20
DEFAULT = "runs_json"


def link_runs(file: Path, exports: Sequence[Path], form: str | None, session: Session, *, incomplete: bool) -> Report:
    """Enter the runs that exports tell of, and judge them. Nothing is entered before all of them can be.

    ``incomplete``: whether registered seeds without a run that counts, or with one that failed, may count as failed.

    Raises:
        UsageError: The hypothesis is not registered or can't be linked, an export can't be read, or seeds are missing.
        DeviationRefused: The file means something else than what was registered.
    """
    loaded, trail = spec.load(file), session.trail
    _refuse_others(loaded.hypothesis)
    _find_registration(loaded, session)  # before anything is written, a lock too
    files, raws, told = read_exports(exports, form)
    with ExitStack() as held:
        with ledger.lock_project(session.project.root):
            look_around(loaded, session)
            held.enter_context(ledger.lock_hypothesis(trail, loaded.hypothesis.id))
        registration = _find_registration(loaded, session)
        pins = _pin(loaded.hypothesis, registration)
        differing = refuse_changes(registration, loaded, trail, pins)
        commits = _compare_commits(told, loaded.hypothesis, registration, session)
        link = _go_on(Link(exports=files, commits=commits, until=datetime.now(UTC).isoformat()), loaded, session)
        since = ledger.find_since(trail.index(), registration.digest)
        accounted = programs.account(loaded.hypothesis, registration.seeds, since, link, told)
        tell_runs(accounted.told, session, "not registered")
        if accounted.gaps and not incomplete:
            raise UsageError(write_gaps(accounted), where=str(file), remedy=GAPS)
        assert registration.pins.program is not None, "the file has a program"
        _refuse_open(loaded.hypothesis.id, link, session)
        linked = Linked(registration.pins.program, link, accounted)
        equipment = Equipment(describe_elsewhere(), {}, find_sources(loaded.hypothesis, trail), program=linked)
        for raw in raws:
            trail.store_object(raw)
        fixed = Fixed(registration, pins, differing, equipment)
        return finish_run(start_run(Prepared(loaded, registration, fixed, session)))


def write_wanted(file: Path, session: Session) -> str:
    """Write the runs that a registered hypothesis asks for as CSV, to be filled in: the form of the adapter runs_csv.

    Raises:
        UsageError: The hypothesis is not registered, its seeds are not drawn, or it can't be linked.
    """
    loaded = spec.load(file)
    hypothesis = loaded.hypothesis
    _refuse_others(hypothesis)
    registration = _find_registration(loaded, session)
    refuse_changes(registration, loaded, session.trail, _pin(hypothesis, registration))
    assert hypothesis.results is not None, "no other hypothesis is linked"
    assert registration.pins.program is not None, "no other hypothesis is linked"
    parameters = list(dict.fromkeys(name for arm in hypothesis.arms.values() for name in arm.parameters or {}))
    names = [hypothesis.results.names.get(name, name) for name in hypothesis.metrics]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    heads = ["run", "arm", "seed", "started", "status", "commit"]
    table.writerow([*heads, *(f"params.{name}" for name in parameters), *(f"metrics.{name}" for name in names)])
    for name, arm in hypothesis.arms.items():
        given = {one: write_parameter(value) for one, value in (arm.parameters or {}).items()}
        for index, seed in enumerate(registration.seeds):
            own = [f"{name}-{index}", name, seed, "", "", ""]  # what is told of a run is told by whoever made it
            table.writerow([*own, *(given.get(one, "") for one in parameters), *("" for _ in names)])
    session.reporter.say(f"its code is that of git commit {registration.pins.program.commit}")
    return text.getvalue()


def _pin(hypothesis: Hypothesis, registration: Registration) -> Pins:
    """Pin the code here, and the registered program, of which nothing runs here."""
    return ledger.pin_code(hypothesis, verdict.default_templates(), registration.pins.program)


GAPS = "link the missing runs too; or give --incomplete: these seeds then count as failed, as the file's exclusions say"


def _refuse_others(hypothesis: Hypothesis) -> None:
    """Refuse hypotheses whose runs nobody can tell of.

    Raises:
        UsageError: harness trains an arm, or the file asks for a search or for looks.
    """
    remedy = "run it with harness run; on another machine, with the project and its trail there"
    refuse_built_in(hypothesis, "can be made elsewhere", remedy)
    if hypothesis.tuning is not None:
        message = "its settings are chosen by a search that harness runs, and whoever made runs elsewhere chose them"
        raise UsageError(message, where="tuning", remedy="run it with harness run, or register fixed parameters")
    if len(hypothesis.looks) > 1:
        message = "its seeds are judged in looks, and whoever made runs elsewhere may have seen them all before"
        raise UsageError(message, where="stopping", remedy="run it with harness run, or register a fixed number")


def refuse_built_in(hypothesis: Hypothesis, but: str, remedy: str) -> None:
    """Refuse a hypothesis with an arm that harness trains; ``but``: what is possible of a program's runs only.

    Raises:
        UsageError: It has one.
    """
    own = [name for name, arm in hypothesis.arms.items() if not arm.is_program]
    if own:
        raise UsageError(
            f"harness trains {join_words(own)}, and only runs of a program {but}", where="arms", remedy=remedy
        )


def _find_registration(loaded: spec.Loaded, session: Session) -> Registration:
    """Find the registration that the runs were made under, with its seeds.

    Raises:
        UsageError: There is none, or its seeds are not drawn yet.
    """
    found = ledger.find_in_force(session.trail, loaded.hypothesis.id)
    if found is None:
        message = "it is not registered, so no run can be one of it"
        remedy = "register it first: harness register FILE; then make runs by its seeds"
        raise UsageError(message, where=str(loaded.path), remedy=remedy)
    if not found.seeds:
        message = "its seeds are not drawn yet, so no run can have used them"
        raise UsageError(message, where=str(loaded.path), remedy="draw them first: harness seed FILE")
    return found


def _go_on(link: Link, loaded: spec.Loaded, session: Session) -> Link:
    """Return the link as the attempt that is open has it, if it is of the same exports: only the time differs."""
    found = ledger.find_resumable(session.trail, loaded.hypothesis.id)
    before = None if found is None else found.body.linked
    return link if before is None or before.model_copy(update={"until": link.until}) != link else before


def _refuse_open(hypothesis: str, link: Link, session: Session) -> None:
    """Refuse to begin beside an attempt that would go on with something else.

    Raises:
        UsageError: There is one.
    """
    found = ledger.find_resumable(session.trail, hypothesis)
    if found is not None and found.body.linked != link:
        remedy = f"let it go on by the command that began it, or close it: harness close {found.name} --reason …"
        raise UsageError(f"attempt {found.name} is open", where=hypothesis, remedy=remedy)


def read_exports(
    exports: Sequence[Path], form: str | None
) -> tuple[tuple[Export, ...], list[bytes], list[tuple[ToldRun, ...]]]:
    """Return what names each export, its bytes, and its runs.

    Raises:
        UsageError: A file can't be read, is too large, is given twice, or is not of the form.
    """
    known = programs.list_forms()
    if form is not None and form not in known:
        remedy = f"forms: {', '.join(known)}"
        raise UsageError(f"no export has the form {form!r}{suggest(form, tuple(known))}", where="--form", remedy=remedy)
    files: list[Export] = []
    raws: list[bytes] = []
    told: list[tuple[ToldRun, ...]] = []
    for path in exports:
        if form is None and path.suffix != ".json":
            remedy = f"give --form, one of {', '.join(known)}"
            raise UsageError("an export that is no .json file must be given its form", where=str(path), remedy=remedy)
        try:
            raw = read_regular(path, LARGEST, follow=True)
        except OSError as error:
            remedy = f"check the name; an export has at most {LARGEST:,} bytes"
            raise UsageError(f"can't be read: {error.strerror or error}", where=str(path), remedy=remedy) from error
        digest = hashlib.sha256(raw).hexdigest()
        if any(one.sha256 == digest for one in files):
            raise UsageError("the same export is given twice", where=str(path), remedy="name each export once")
        files.append(Export(name=make_plain_line(path.name), form=form or DEFAULT, sha256=digest))
        raws.append(raw)
        try:
            told.append(programs.read_export(raw, form or DEFAULT))
        except programs.BadResults as error:
            remedy = f"export it again, or name its form: --form, one of {', '.join(known)}"
            raise UsageError(f"no export of runs: {error}", where=str(path), remedy=remedy) from error
    return tuple(files), raws, told


def _compare_commits(
    told: Sequence[Sequence[ToldRun]], hypothesis: Hypothesis, registration: Registration, session: Session
) -> dict[str, str]:
    """Return each commit that a run names, and how its code differs from the registered."""
    program, pins, project = hypothesis.program, registration.pins.program, session.project
    assert program is not None, "no other hypothesis is linked"
    assert pins is not None, "no other hypothesis is linked"
    found = {}
    for commit in programs.list_commits(told):
        differs = ledger.compare_commit(commit, program.code.git, pins, project.root, project.verdicts)
        unknown = f"git here has no commit {commit[:12]}, so that its code can't be compared"
        found[commit] = unknown if differs is None else differs
    return found


def tell_runs(told: LinkedRuns, session: Session, unfixed: str) -> None:
    """Say what became of the runs, and name those that don't count; ``unfixed``: words for what nothing fixes."""
    say = session.reporter.say
    for run in [one for one in told.runs if one.fate != "counted" or one.why][:LISTED]:
        say(f"run {run.run} of {run.export} is {run.fate}: {run.why}")
    counts = [f"{told.count(fate)} {fate}" for fate in ("counted", "excluded", "rejected") if told.count(fate)]
    say(f"{format_count(len(told.runs), 'run')} told: {', '.join(counts)}")
    for line in told.varying[:LISTED]:
        say(f"{unfixed}, and different between runs that count: {line}")


def write_gaps(accounted: programs.Accounted, what: str = "registered seed") -> str:
    """List the seeds without a value."""
    gaps = accounted.gaps
    more = [f"and {len(gaps) - LISTED} more"] if len(gaps) > LISTED else []
    listed = "\n    ".join([*gaps[:LISTED], *more])
    return f"{format_count(len(gaps), what)} would have no value:\n    {listed}"
