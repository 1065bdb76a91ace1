"""Progress of a run, written into its working files for whoever follows it; no measured value is among it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import ValidationError

from harness.pipeline.session import Session
from harness.plugins.fields import Unit
from harness.records import Record
from harness.system.locks import Holder
from harness.system.reading import LARGEST_SETTINGS, read_regular

if TYPE_CHECKING:
    from harness.training import Progress

FILE = "work/progress"
"""The file, below the run's folder."""
SECONDS = 0.25
"""Seconds within which nothing new is written, but for the end."""
LEAST_SECONDS = 1.0
"""Seconds after which a speed says something."""


class CohortProgress(Record):
    """Progress of a cohort."""

    cohort: Annotated[int, Unit("cohorts")]
    """Number of the cohort in the plan, from 1."""
    arms: tuple[str, ...]
    """Arms of the cohort."""
    replicas: Annotated[int, Unit("replicas")]
    """Number of its replicas."""
    epoch: Annotated[int, Unit("epochs")]
    """Epochs done."""
    epochs: Annotated[int, Unit("epochs")]
    """Epochs that it is trained for."""


class RunProgress(Record):
    """Progress of a run."""

    time: str
    """Time at which this was written, UTC."""
    holder: str
    """The process that trains."""
    stopped: bool
    """True if it no longer does. One that was killed didn't come to say so."""
    steps_done: Annotated[int, Unit("steps")]
    """Steps done; a step of r replicas counts r times."""
    steps_total: Annotated[int, Unit("steps")]
    """Steps of the whole plan, counted in the same way."""
    speed: Annotated[float | None, Unit("replica steps/s")]
    """Throughput since this session began; None at its beginning."""
    left: Annotated[float | None, Unit("s")]
    """Time left at this speed."""
    cohorts: Annotated[int, Unit("cohorts")]
    """Number of cohorts in the plan."""
    told: tuple[CohortProgress, ...]
    """The cohorts that this session has trained, or trains, by their numbers."""


@dataclass
class Speed:
    """The throughput of a session of training, from what it reports."""

    started: float = field(default_factory=time.monotonic)
    first_step: int | None = None
    steps_done: int = 0

    def hear(self, at: Progress) -> bool:
        """Take in a report; tell whether it is the first, or that of the next hypothesis."""
        anew = self.first_step is None or at.steps_done < self.steps_done
        if anew:
            self.first_step, self.started = at.steps_done, time.monotonic()
        self.steps_done = at.steps_done
        return anew

    def tell(self) -> float | None:
        """Return the replica steps per second; None at the first moment.

        Several processes may report their first epochs at once.
        """
        seconds = time.monotonic() - self.started
        done = self.steps_done - (self.first_step or 0)
        return done / seconds if seconds > LEAST_SECONDS and done else None


@contextmanager
def tell_progress(session: Session, folder: Path) -> Iterator[Session]:
    """Yield the session of a run as one that also writes its progress into the run's folder, and that it stopped."""
    teller = _Teller(folder / FILE, session.reporter.progress)
    try:
        yield replace(session, reporter=replace(session.reporter, progress=teller))
    except BaseException:
        teller.stop()
        raise


def read_told(folder: Path) -> RunProgress | None:
    """Read how far a run has come; None if it has told nothing, or nothing that is understood."""
    try:
        return RunProgress.model_validate_json(read_regular(folder / FILE, LARGEST_SETTINGS))
    except (OSError, ValidationError):
        return None


@dataclass
class _Teller:
    """Writes the progress of a run, at most every so often; a run goes on without it where that fails."""

    file: Path
    report: Callable[[Progress], None]
    speed: Speed = field(default_factory=Speed)
    cohorts: dict[int, CohortProgress] = field(default_factory=dict)
    written: float | None = None
    last: Progress | None = None

    def __call__(self, at: Progress) -> None:
        """Take in a report, and hand it on."""
        self.report(at)
        if at.message:
            return
        self.speed.hear(at)
        self.last = at
        fields = {"cohort": at.cohort, "arms": at.arms, "replicas": at.replicas, "epoch": at.epoch, "epochs": at.epochs}
        self.cohorts[at.cohort] = CohortProgress.model_validate(fields)
        now, ended = time.monotonic(), at.steps_done == at.steps_total
        if self.written is None or ended or at.epoch == at.epochs or now - self.written >= SECONDS:
            self.written = now
            self._write(at)

    def stop(self) -> None:
        """Write that training has stopped."""
        if self.last is not None:
            self._write(self.last, stopped=True)

    def _write(self, at: Progress, *, stopped: bool = False) -> None:
        speed = self.speed.tell()
        told = RunProgress(
            time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            holder=str(Holder.current()),
            stopped=stopped,
            steps_done=at.steps_done,
            steps_total=at.steps_total,
            speed=speed,
            left=(at.steps_total - at.steps_done) / speed if speed else None,
            cohorts=at.cohorts,
            told=tuple(self.cohorts[number] for number in sorted(self.cohorts)),
        )
        beside = self.file.with_name(f".{self.file.name}.tmp")
        with suppress(OSError):  # durable it need not be: it says how it is now
            beside.write_text(told.model_dump_json(), encoding="utf-8")
            os.replace(beside, self.file)  # noqa: PTH105
