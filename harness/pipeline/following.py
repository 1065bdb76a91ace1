"""Attempts under way, as whoever follows them may see them: how far each has come, and its values if it is peeked at.

Values of an attempt that has not ended are prior data to whoever sees them. They are read only after that was entered
in the ledger; what registered looks showed is in the ledger already.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from harness import ledger
from harness.errors import HarnessError
from harness.ledger import Ledger, LookBody, StartedRun
from harness.ledger.progress import SEAL, find_jobs
from harness.pipeline.job_list import ListedJob, follow_jobs
from harness.pipeline.run_files import read_registered
from harness.pipeline.telling import RunProgress, read_told
from harness.records import Hypothesis, Measurements, Registered, ReplicaResult
from harness.records.plan import read_shared_arm
from harness.system.locks import is_gone
from harness.system.reading import LARGEST_FILE, read_regular
from harness.wording import format_count


@dataclass(frozen=True)
class Followed:
    """An attempt that has not ended."""

    run: StartedRun
    """The attempt."""
    registered: Registered | None
    """The hypothesis that it was started under; None if that can't be read."""
    told: RunProgress | None
    """Progress of the attempt; None if it has told nothing yet, or its working files are elsewhere."""
    here: bool
    """True if its working files are here."""
    looks: tuple[LookBody, ...]
    """Outcomes of its registered looks."""
    measurements: Measurements | None
    """Values of the attempt so far; None unless it was peeked at."""
    jobs: tuple[ListedJob, ...] = ()
    """The jobs in which its cohorts train elsewhere, as their files tell."""
    problem: str | None = None
    """Reason why its values are not shown although they were asked for; None if they are, or nobody asked."""

    @property
    def hypothesis(self) -> Hypothesis | None:
        """Return the hypothesis; None if it can't be read."""
        return None if self.registered is None else self.registered.hypothesis

    @cached_property
    def state(self) -> str:
        """Return what it does, in words."""
        if not self.here:
            return "its working files are not here"
        open_jobs = sum(job.state != "ended" for job in self.jobs)
        if self.told is None:
            return "started, its jobs wait" if open_jobs else "started, nothing is trained yet"
        if self.told.stopped or is_gone(self.told.holder):
            if open_jobs:
                return f"its command has ended, {format_count(open_jobs, 'job')} may go on: the same command attaches"
            return "stopped: the same command goes on with it"
        return "trained, being judged" if self.told.steps_done == self.told.steps_total else "training"


class Follower:
    """Whoever follows the attempts of a trail."""

    def __init__(self, trail: Ledger, *, peek: bool) -> None:
        """Follow the attempts of ``trail``; ``peek``: show their values before their end, and enter that."""
        self.trail, self.peek = trail, peek
        self._peeked: set[str] = set()
        self._registered: dict[str, Registered | None] = {}

    def follow(self) -> tuple[Followed, ...]:
        """Return the attempts that have not ended, as they are now, the newest first.

        Raises:
            Tampered: as ``Ledger.events``.
        """
        index = self.trail.index()
        started = [start for start in index.starts() if index.verdict(start.digest) is None]
        going = [start for start in started if len(index.finished(start.digest)) == len(index.closings(start.digest))]
        return tuple(self._follow(start) for start in reversed(going))

    def _follow(self, run: StartedRun) -> Followed:
        folder = self.trail.root / run.folder
        measurements, problem = None, None
        registered = self._read_registered(run)
        if self.peek and registered is not None:
            try:
                if self._may_show(run):
                    measurements = read_values(self.trail, run, registered)
            except HarnessError as error:
                problem = f"its values are not shown, because that could not be entered in the ledger: {error.message}"
        looks = ledger.list_looks(self.trail, run.digest)
        here = (folder / "work").is_dir()
        jobs = follow_jobs(find_jobs(folder / "work"))
        return Followed(run, registered, read_told(folder), here, looks, measurements, jobs, problem)

    def _may_show(self, run: StartedRun) -> bool:
        """Tell whether values of an attempt may be shown: they may as soon as the ledger says that they are."""
        if run.digest not in self._peeked:
            progress = ledger.read_progress(self.trail, run)
            if progress is None or not progress.readable or not ledger.record_peek(self.trail, run):
                return False
            self._peeked.add(run.digest)
        return True

    def _read_registered(self, run: StartedRun) -> Registered | None:
        if run.digest not in self._registered:
            try:
                self._registered[run.digest] = read_registered(self.trail, run)
            except HarnessError:  # the site says what is wrong with it
                self._registered[run.digest] = None
        return self._registered[run.digest]


def read_values(trail: Ledger, run: StartedRun, registered: Registered) -> Measurements:
    """Read what the seeds that decide have shown so far, of trained replicas and of those in training."""
    hypothesis, found = registered.hypothesis, dict[tuple[str, int], ReplicaResult]()
    theirs = [trail.root / one.folder for one in ledger.find_company(trail, run).values() if one is not None]
    own = trail.root / run.folder
    for place, folder in ((one, folder) for one in (*theirs, own) for folder in _list_working(one)):
        for result in _list_results(folder):
            name = read_shared_arm(result.arm, run.hypothesis)
            mine = name is not None and (place == own or "/" in result.arm)
            if mine and name in hypothesis.arms and result.seed in run.body.seeds:
                found[name, result.seed_index] = result.model_copy(update={"arm": name})
    order = list(hypothesis.arms)
    return Measurements(
        hypothesis=hypothesis.id,
        registration=registered.registration,
        seeds=run.body.seeds,
        epochs={name: arm.setup.epochs for name, arm in hypothesis.arms.items()},
        data={},
        replicas=tuple(found[key] for key in sorted(found, key=lambda key: (order.index(key[0]), key[1]))),
    )


def _list_working(folder: Path) -> tuple[Path, ...]:
    """List the working files of an attempt's jobs, and then its own, where what was trained is fetched to."""
    return (*(job / "work" for job in find_jobs(folder / "work")), folder / "work")


def _list_results(folder: Path) -> list[ReplicaResult]:
    """List the replicas of a folder of working files: those in training, and in their place those that are trained."""
    found: list[ReplicaResult] = []
    for _, partial in ledger.list_partial(folder):
        with suppress(ValidationError, IndexError, TypeError):
            found += partial.list_results()
    with suppress(OSError):
        for file in sorted(folder.glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError):
                replicas = json.loads(read_regular(file, LARGEST_FILE)[SEAL:])["replicas"]
                found += [ReplicaResult.model_validate(one) for one in replicas]
    return found
