"""The public face for notebooks and scripts: the verbs of the command line as functions that return objects.

    from harness import api

    file = api.load("hypotheses/quickstart_digits.yaml")
    api.check(file.path)
    file.plan()
    file.power(sd=1.5)
    verdict = file.run()
    verdict.measurements().to_pandas()

Each function calls the use case in ``harness.pipeline`` that the verb of its name calls, with the same settings, and
raises what the verb would print: an error of ``harness.errors`` with its place and its remedy. Nothing is printed.
Libraries are loaded when they are first needed: PyTorch by whatever trains or plans, matplotlib by figures, pandas
(extra ``notebook``) by ``to_pandas`` alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.arguments import checked, require_numbers
from harness.api.comparisons import ComparisonView
from harness.api.explorations import Exploration
from harness.api.files import HypothesisFile
from harness.api.reports import CheckReport, PowerAnalysis, RunPlan
from harness.api.tables import Table
from harness.api.verdicts import DecisionView, Verdict

if TYPE_CHECKING:
    from harness.ledger import Ledger
    from harness.pipeline.project import Settings

__all__ = [
    "CheckReport",
    "ComparisonView",
    "DecisionView",
    "Exploration",
    "HypothesisFile",
    "PowerAnalysis",
    "RunPlan",
    "Table",
    "Verdict",
    "check",
    "compare",
    "explore",
    "export",
    "list_explorations",
    "list_verdicts",
    "load",
    "open_verdict",
    "plan",
    "power",
    "run",
]

Place = str | PathLike[str]
"""A path as text or as an object."""


@checked
def load(file: Place) -> HypothesisFile:
    """Load a hypothesis file.

    Raises:
        InvalidHypothesis: the file is not valid; ``findings`` of the error holds every problem with its place.
    """
    from harness import spec

    return HypothesisFile(spec.load(Path(file)))


@checked
def check(*paths: Place, against: str | None = None, verdicts: Place | None = None) -> CheckReport:
    """Check files and folders, also against one another and against the trail, as ``harness check`` does.

    Without a path, the hypotheses of the project around the current folder are checked. ``against``: a git commit;
    whatever was registered there must not have changed since.

    Raises:
        UsageError: there is no such path or commit.
        Tampered: the trail is not what was written.
    """
    from harness.pipeline.check import check_files
    from harness.pipeline.project import Projects, find_project_around

    settings = _collect_settings(verdicts=verdicts)
    chosen = [Path(path) for path in paths] or [find_project_around(Path(), settings).hypotheses]
    return CheckReport(check_files(chosen, Projects(settings), against))


@checked
def plan(
    file: Place,
    *,
    device: str | None = None,
    data: Place | None = None,
    verdicts: Place | None = None,
    on: str | None = None,
    measure: bool = False,
) -> RunPlan:
    """Show what a run would do, without training: cohorts, steps, memory and time.

    ``device``, ``data`` and ``verdicts`` are the settings of the command line, and come from the same places if they
    are left out. ``on``: the place that would train, as ``harness plan --on``; a job of it is asked for its device.
    By default, the one that the variable HARNESS_ON names, and "" is here whatever it names.
    ``measure``: time some steps first.

    Raises:
        InvalidHypothesis, UsageError: the file is not valid, or there is no such device or place.
        LaunchFailed: the place refused the job that was to tell of its device, or has other code or packages.
    """
    from harness.errors import UsageError
    from harness.pipeline.plan import preview_run
    from harness.pipeline.session import Session

    settings = _collect_settings(device=device, data=data, verdicts=verdicts, on=_choose_place(on))
    if measure and settings.on is not None:
        message = "has no effect where the plan is of a place: its device is not here"
        raise UsageError(message, where="measure", remedy="leave it out, or on and HARNESS_ON")
    return RunPlan(preview_run(Path(file), Session.open(Path(file), settings), measure=measure))


@checked
def power(
    file: Place,
    *,
    sd: float | Mapping[str, float] | None = None,
    sd_from: str | None = None,
    effects: Iterable[float] = (),
    verdicts: Place | None = None,
) -> PowerAnalysis:
    """Compute how likely each outcome is for a range of assumed true effects.

    ``sd``: the standard deviation between seeds, in the estimand's unit, of all decisions or by decision; ``sd_from``:
    a run, a pilot or a hypothesis to estimate it from; ``effects``: true values to add to the table.

    Raises:
        InvalidHypothesis: the file is not valid.
        UsageError: no standard deviation is known, or one is not above 0.
    """
    from harness.errors import UsageError
    from harness.pipeline.power import Assumed, compute_power
    from harness.pipeline.project import find_project

    named = sd if isinstance(sd, Mapping) else {} if sd is None else {"": sd}
    given = {name: float(value) for name, value in named.items()}  # of NumPy's, too
    if odd := [value for value in given.values() if not 0 < value < float("inf")]:
        raise UsageError(f"{odd[0]!r} is not a standard deviation", where="sd", remedy="give a number above 0")
    chosen = require_numbers("power", "effects", effects)
    project = find_project(Path(file), _collect_settings(verdicts=verdicts))
    trail = project.open_named_trail() if sd_from is not None else project.open_trail()
    return PowerAnalysis(compute_power(Path(file), trail, Assumed(given=given, run=sd_from), chosen))


@checked
def run(
    file: Place,
    *,
    device: str | None = None,
    data: Place | None = None,
    verdicts: Place | None = None,
    on: str | None = None,
    resume: bool = True,
    yes: bool = False,
    say: Callable[[str], None] | None = None,
) -> Verdict:
    """Test a hypothesis as ``harness run`` does: register it if it is new, train, judge, and enter the verdict.

    ``on``: a place that trains it in jobs, as ``harness run --on``: a name of the project's settings or the address of
    a Dask. The results have the same bits as on one machine of that kind, and the same call attaches to what runs.
    By default, it is the one that the variable HARNESS_ON names, and "" is here whatever it names.
    ``yes``: the commands of a program may run here for the first time, as ``--yes`` allows it; nobody is asked.
    ``say`` is called with each sentence that the command line would print on the way, such as ``print``. An interrupt
    leaves the attempt open, and the same call goes on from its last checkpoint.

    Raises:
        InvalidHypothesis, UsageError: nothing was started.
        LaunchFailed: jobs were refused or ended without results; the attempt stays open, and the same call goes on.
        HarnessError: as ``harness.pipeline.run.run_hypothesis``.
    """
    from harness.pipeline.run import run_hypothesis
    from harness.pipeline.session import Reporter, Session

    settings = _collect_settings(
        device=device, data=data, verdicts=verdicts, resume=resume, yes=yes, on=_choose_place(on)
    )
    reporter = Reporter() if say is None else Reporter(say=say)
    session = Session.open(Path(file), settings, reporter)
    report = run_hypothesis(Path(file), session)
    return Verdict.read(session.trail, report.folder.name)


@checked
def open_verdict(name: str, *, project: Place = ".", verdicts: Place | None = None) -> Verdict:
    """Open the last verdict on a hypothesis, or that of a run by its first digits.

    ``project``: any folder of the project; ``verdicts``: the folder of the trail, if it is another than the project's.

    Raises:
        UsageError: nothing of that name was judged.
        Tampered: its files are not those that the ledger names.
    """
    return Verdict.read(_open_trail(project, verdicts), name)


@checked
def list_verdicts(*, project: Place = ".", verdicts: Place | None = None) -> Sequence[str]:
    """Return the short names of all judged runs of a trail, in the order of the ledger.

    Raises:
        UsageError: there is no such trail.
        Tampered: the trail is not what was written.
    """
    from harness.errors import UsageError
    from harness.ledger.bodies import VerdictBody

    trail = _open_trail(project, verdicts)
    if not trail.folder.is_dir():
        remedy = (
            "name the project's folder (project=…) or the trail's (verdicts=…); a project has a trail from its "
            "first registration on"
        )
        raise UsageError("there is no trail of verdicts", where=str(trail.root), remedy=remedy)
    index = trail.index()
    starts = (index.start(entry.body.run) for entry in index.entries(VerdictBody))
    return tuple(dict.fromkeys(start.name for start in starts if start is not None))


@checked
def explore(
    file: Place,
    *exports: Place,
    form: str | None = None,
    incomplete: bool = False,
    verdicts: Place | None = None,
    say: Callable[[str], None] | None = None,
) -> Exploration:
    """Read results that exist already against a file that is not registered, as ``harness explore`` does.

    It is exploratory and no attempt, and the ledger says that it was done. ``exports``: the files that tell of the
    runs; ``form``, ``incomplete``: as on the command line; ``say`` is called with each sentence that it would print.

    Raises:
        InvalidHypothesis, UsageError: nothing was entered.
    """
    from harness.pipeline.explore import explore_results
    from harness.pipeline.session import Reporter, Session

    reporter = Reporter() if say is None else Reporter(say=say)
    session = Session.open(Path(file), _collect_settings(verdicts=verdicts), reporter)
    found = explore_results(Path(file), [Path(path) for path in exports], form, session, incomplete=incomplete)
    return Exploration(found.explored)


@checked
def list_explorations(*, project: Place = ".", verdicts: Place | None = None) -> Sequence[Exploration]:
    """Return all explorations of a trail, in the order of the ledger; none of them is a verdict.

    Raises:
        UsageError: there is no such folder.
        Tampered: the trail is not what was written.
    """
    from harness.pipeline.explored import list_explored

    return tuple(map(Exploration, list_explored(_open_trail(project, verdicts))))


@checked
def compare(first: str, second: str, *, project: Place = ".", verdicts: Place | None = None) -> ComparisonView:
    """Put two judged runs side by side, each by its first digits or as the last verdict on a hypothesis.

    Raises:
        UsageError: nothing of one of these names was judged, or both name the same run.
        Tampered: their files are not those that the ledger names.
    """
    from harness.pipeline.compare import compare_runs

    return ComparisonView(compare_runs(first, second, _open_trail(project, verdicts)))


@checked
def export(
    name: str, form: str, out: Place, *, project: Place = ".", verdicts: Place | None = None
) -> tuple[Path, ...]:
    """Write a run for other programs, as ``harness export --as`` does; return what was written.

    ``form``: csv, parquet, tensorboard, mlflow, wandb, in-toto or ro-crate.

    Raises:
        UsageError: there is no such format, its library is not installed, or something is there already.
        Tampered: the run's files are not those that the ledger names.
    """
    from harness.exporters import export_run

    return export_run(name, form, _open_trail(project, verdicts), out)


def _open_trail(project: Place, verdicts: Place | None) -> Ledger:
    from harness.errors import UsageError
    from harness.pipeline.project import find_project_around

    if not Path(project).is_dir():
        remedy = "name a folder of the project"
        raise UsageError("there is no such folder", where=f"project={os.fspath(project)!r}", remedy=remedy)
    return find_project_around(Path(project), _collect_settings(verdicts=verdicts)).open_named_trail()


def _choose_place(on: str | None) -> str | None:
    """Return the place that is named, or that ``HARNESS_ON`` names; None for here, which "" names."""
    return (os.environ.get("HARNESS_ON") if on is None else on) or None


def _collect_settings(*, data: Place | None = None, verdicts: Place | None = None, **more: Any) -> Settings:
    from harness.pipeline.project import Settings

    folders = [None if path is None else Path(path) for path in (data, verdicts)]
    return Settings(data=folders[0], verdicts=folders[1], variables=os.environ, **more)
