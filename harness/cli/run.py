"""``harness run``, and the progress that it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    File,
    RoundOption,
    VerdictsOption,
    collect_settings,
    err,
    escape,
    out,
    show_path,
    verb,
)
from harness.cli.signals import signals
from harness.wording import format_count

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from harness.pipeline.session import Reporter
    from harness.training import Progress


@app.command()
@verb
def run(
    file: File,
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Resume an attempt that was stopped, or close it and start again."),
    ] = True,
    require_registered: Annotated[
        bool, typer.Option("--require-registered", help="Refuse to run a file that is not registered yet.")
    ] = False,
    pilot: Annotated[
        bool,
        typer.Option(
            "--pilot", help="Train few seeds and epochs to try out the setup; a pilot never gives an outcome."
        ),
    ] = False,
    pilot_seeds: Annotated[int, typer.Option("--pilot-seeds", min=1, help="Number of seeds of a pilot.")] = 2,
    pilot_epochs: Annotated[int, typer.Option("--pilot-epochs", min=1, help="Number of epochs of a pilot.")] = 2,
    compile_programs: Annotated[
        str, typer.Option("--compile", help="Compile the programs of a GPU: auto (where it saves time), on or off.")
    ] = "auto",
    checkpoint_every: Annotated[
        float, typer.Option("--checkpoint-every", min=0, help="Seconds between checkpoints.")
    ] = 60.0,
    round_file: RoundOption = None,
) -> None:
    """Test a hypothesis: register it, train all arms over all seeds, judge them and write the verdict.

    If the file names a beacon, its round is waited for first, up to ten minutes. To resume a run that was stopped from
    its last checkpoint, give the same command again.
    """
    settings = collect_settings(
        device,
        data,
        verdicts,
        compile=compile_programs,
        resume=resume,
        require_registered=require_registered,
        checkpoint_seconds=checkpoint_every,
        round_file=round_file,
    )
    from harness.pipeline.pilot import run_pilot
    from harness.pipeline.run import run_hypothesis
    from harness.pipeline.session import Session

    with reporting() as reporter:
        session = Session.open(file, settings, reporter)
        if pilot:
            report = run_pilot(file, session, seeds=pilot_seeds, epochs=pilot_epochs)
        else:
            report = run_hypothesis(file, session)
    out.only_tells()
    decision = report.decision
    if pilot:
        out.print(f"{report.hypothesis.id}: pilot, no outcome", markup=False)
    else:
        came = "as predicted" if decision.outcome == decision.predicted else f"predicted: {decision.predicted}"
        out.print(f"[bold]{escape(report.hypothesis.id)}: {escape(decision.outcome)}[/bold] ({escape(came)})")
    out.print(decision.summary, markup=False)
    out.print(str(show_path(report.folder / "verdict.md")), markup=False)
    err.print(f"ledger head, worth keeping elsewhere: {report.head}", markup=False)


LEAST_SECONDS = 1.0  # after which a speed says something


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Report progress on stderr. During training, a first signal stops with a checkpoint, a second at once."""
    from harness.pipeline.session import Reporter

    def say(text: str) -> None:
        err.print(text, markup=False)

    with signals.listening(), say_from_thread(say) as told, show_progress() as show:
        yield Reporter(
            say=say,
            progress=show,
            stop=signals.asked,
            heed=signals.heed,
            training=lambda: signals.gently(lambda: told("stopping with a checkpoint (again: at once)")),
        )


@contextmanager
def say_from_thread(say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Give what a signal's handler, which comes in the middle of anything, may call to have something said.

    A thread says it: a line takes no other into itself. It runs already, because to start one takes a lock that may be
    held by what the signal came into; the queue is made for that.
    """
    texts: SimpleQueue[str | None] = SimpleQueue()

    def work() -> None:
        while (text := texts.get()) is not None:
            say(text)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield texts.put
    finally:
        texts.put(None)
        thread.join(timeout=1.0)  # no longer: whoever reads may have stopped reading


@contextmanager
def show_progress() -> Iterator[Any]:
    """Show a bar on a terminal; elsewhere a line at the start of each cohort and every half minute."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[speed]}"),
        console=err.console,
        disable=not err.console.is_terminal,
        transient=True,
    ) as bar:
        yield Shown(bar)


@dataclass
class Shown:
    """Shows where training is."""

    bar: Bar
    task: Any = None
    started: float = field(default_factory=time.monotonic)
    first_step: int | None = None
    last_line: float = 0.0
    cohorts: set[int] = field(default_factory=set)

    def __call__(self, at: Progress) -> None:
        """Show one moment of training; called after every epoch."""
        if at.message:
            err.print(at.message, markup=False)
            return
        now = time.monotonic()
        if self.first_step is None:
            self.first_step, self.started = at.steps_done, now
        seconds = now - self.started
        # Not from the first moment: several processes may report their first epochs at once.
        speed = (at.steps_done - self.first_step) / seconds if seconds > LEAST_SECONDS else None
        rate = f"{speed:,.0f} replica steps/s" if speed else ""
        where = f"{', '.join(at.arms)}: {format_count(at.replicas, 'replica')}, epoch {at.epoch}/{at.epochs}"
        text = f"cohort {at.cohort}/{at.cohorts} · {where}"
        if err.console.is_terminal:
            if self.task is None:
                self.task = self.bar.add_task(text, total=at.steps_total, speed="")
            self.bar.update(self.task, description=text, completed=at.steps_done, speed=rate)
        elif at.cohort not in self.cohorts or now - self.last_line > 30 or at.steps_done == at.steps_total:
            ending = f", {(at.steps_total - at.steps_done) / speed:.0f} s left, {rate}" if speed else ""
            err.print(f"{text}{ending}", markup=False)
            self.last_line = now
            self.cohorts.add(at.cohort)  # several may be under way at once
