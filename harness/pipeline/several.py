"""A set of hypotheses: all are checked and registered before the first trains, then run one after the other.

If they train together, those that share cohorts all have an attempt before the first trains.

What has a verdict is left alone, so that the same command goes on where an earlier one stopped. One that fails keeps
none of the others from their verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from harness import ledger, spec
from harness.errors import HarnessError, Interrupted, InvalidHypothesis, StorageFailed, UsageError
from harness.pipeline.fixing import fix_meaning
from harness.pipeline.missing_files import check_folder
from harness.pipeline.program import pin
from harness.pipeline.project import Projects, Settings
from harness.pipeline.run import Prepared, Started, finish_run, prepare_run, run_hypothesis, start_run
from harness.pipeline.run_steps import refuse_changes
from harness.pipeline.session import Report, Reporter, Session
from harness.pipeline.sharing import agree
from harness.records import Attempt
from harness.wording import format_count

Done = TypeVar("Done")


@dataclass(frozen=True)
class Ended:
    """The end of one hypothesis of a set: exactly one of the three is there."""

    hypothesis: str
    report: Report | None = None
    """The run, with its verdict."""
    judged: Attempt | None = None
    """An earlier attempt that was judged: nothing was run."""
    error: HarnessError | None = None
    """The error that ended the run."""


def run_several(
    paths: Sequence[Path],
    settings: Settings,
    reporter: Reporter,
    run: Callable[[Path, Session], Report] | None = None,
) -> Iterator[Ended]:
    """Run the hypotheses of files and folders, in the order given; yield what became of each.

    Args:
        paths: files, and folders whose files are meant.
        settings: as for one hypothesis.
        reporter: hears of all of them.
        run: what runs one of them in place of ``run_hypothesis``: a pilot, which needs no registration.

    Raises:
        InvalidHypothesis, UsageError: a file has findings, or a run would be refused: nothing trains.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
    """
    loaded = load_valid(paths, settings)
    settings = _take_data_as_used(loaded, settings)
    waiting: list[tuple[spec.Loaded, Session]] = []
    known: list[Ended] = []
    for one in loaded:
        session = Session.open(one.path, select_settings(one, loaded, settings), reporter)
        judged = None if run is not None else find_judged(one, session)
        if judged is not None:
            _refuse_changes(one, session)
            known.append(Ended(one.hypothesis.id, judged=judged))
        else:
            waiting.append((one, session))
    if run is None:
        _fix_all(waiting)
    yield from known
    if run is None and settings.together:
        yield from _run_together(waiting, reporter)
        return
    for number, (one, session) in enumerate(waiting, 1):
        _say_which(number, len(waiting), one.hypothesis.id, reporter)
        ended, _ = _try(one.hypothesis.id, partial(run or run_hypothesis, one.path, session))
        yield ended


def _run_together(waiting: Sequence[tuple[spec.Loaded, Session]], reporter: Reporter) -> Iterator[Ended]:
    """Run hypotheses whose replicas share cohorts: the attempts at all of them are entered before the first trains."""
    with ExitStack() as held:
        runs: list[Prepared] = []
        for one, session in waiting:
            ended, prepared = _try(one.hypothesis.id, partial(prepare_run, one.path, session, held))
            if prepared is None:
                yield ended
            else:
                runs.append(prepared)
        agreed = agree(runs, reporter.say)
        started: dict[str, Started | None] = {}
        for joined in agreed:
            name = joined.loaded.hypothesis.id
            if joined.equipment.company:
                ended, started[name] = _try(name, partial(start_run, joined))
                if started[name] is None:
                    yield ended
        left = [joined for joined in agreed if started.get(joined.loaded.hypothesis.id, joined) is not None]
        for number, joined in enumerate(left, 1):
            name = joined.loaded.hypothesis.id
            _say_which(number, len(left), name, reporter)
            ended, _ = _try(name, partial(_finish, joined, started.get(name)))
            yield ended


def _finish(joined: Prepared, started: Started | None) -> Report:
    """Finish a run of a set; one that trains alone starts only now."""
    return finish_run(start_run(joined) if started is None else started)


def _say_which(number: int, total: int, hypothesis: str, reporter: Reporter) -> None:
    reporter.say(f"{number} of {format_count(total, 'hypothesis', 'hypotheses')}: {hypothesis}")


def _try(hypothesis: str, step: Callable[[], Done]) -> tuple[Ended, Done | None]:
    """Take a step of one hypothesis; an error that concerns it alone ends it and none of the others.

    Raises:
        Interrupted, StorageFailed: the whole command ends.
    """
    try:
        done = step()
    except (Interrupted, StorageFailed):
        raise
    except HarnessError as error:
        return Ended(hypothesis, error=error), None
    return Ended(hypothesis, report=done if isinstance(done, Report) else None), done


def load_valid(paths: Sequence[Path], settings: Settings) -> tuple[spec.Loaded, ...]:
    """Load the hypotheses of files and folders, each once.

    Raises:
        InvalidHypothesis: with the errors of all files.
        UsageError: a path is not there, or there is no hypothesis.
    """
    report, _ = check_folder(paths, Projects(settings))
    if errors := [finding for finding in report.findings if finding.severity == "error"]:
        raise InvalidHypothesis(errors)
    if not report.loaded:
        where = ", ".join(map(str, paths))
        raise UsageError("there is no hypothesis", where=where, remedy="name a file, or a folder that holds some")
    return report.loaded


def find_judged(loaded: spec.Loaded, session: Session) -> Attempt | None:
    """Find the last attempt of a hypothesis that has a verdict; None if none has."""
    attempts = ledger.list_attempts(session.trail, loaded.hypothesis.id)
    return next((attempt for attempt in reversed(attempts) if attempt.outcome is not None), None)


def _refuse_changes(loaded: spec.Loaded, session: Session) -> None:
    """Refuse a file that means something else than was registered, although its verdict stays as it is."""
    registration = ledger.find_in_force(session.trail, loaded.hypothesis.id)
    assert registration is not None, "an attempt was judged"
    pins = pin(loaded.hypothesis, session)
    refuse_changes(registration, loaded, session.trail, pins)


def _fix_all(waiting: Sequence[tuple[spec.Loaded, Session]]) -> None:
    """Register what is not registered, once nothing that is registered would be refused."""
    known = {
        one.hypothesis.id: ledger.find_registration(session.trail, one.hypothesis.id) is not None
        for one, session in waiting
    }
    for one, session in sorted(waiting, key=lambda pair: not known[pair[0].hypothesis.id]):
        with ExitStack() as held:
            fix_meaning(one, session, held)


def select_settings(one: spec.Loaded, loaded: Sequence[spec.Loaded], settings: Settings) -> Settings:
    """Return the settings of one of several hypotheses: ``--parallel`` and ``--gpus`` are meant for programs."""
    mixed = one.hypothesis.program is None and any(other.hypothesis.program is not None for other in loaded)
    return replace(settings, parallel=None, gpus=None) if mixed else settings


def _take_data_as_used(loaded: Sequence[spec.Loaded], settings: Settings) -> Settings:
    """Return the settings with ``--data`` as one that has an effect, if any of the hypotheses reads the folder."""
    sets = [arm.setup.dataset for one in loaded for arm in one.hypothesis.arms.values()]
    if all(dataset.bundled for dataset in sets):
        return settings
    return replace(settings, typed=settings.typed - {"data"})
