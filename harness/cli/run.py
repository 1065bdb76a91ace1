"""``harness run``, and the progress that it shows."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.app import app
from harness.cli.common import (
    TYPED,
    DataOption,
    DeviceOption,
    Files,
    GpusOption,
    OnOption,
    ParallelOption,
    RoundOption,
    VerdictsOption,
    YesOption,
    collect_settings,
    err,
    escape,
    out,
    print_error,
    show_path,
    verb,
)
from harness.cli.signals import signals
from harness.errors import UsageError
from harness.wording import format_count, make_plain_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from harness.domain.trained import Progress
    from harness.pipeline.session import Report, Reporter
    from harness.pipeline.several import Ended
    from harness.pipeline.telling import Speed


@app.command()
@verb
def run(
    files: Files,
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    on: OnOption = None,
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
    yes: YesOption = False,
    parallel: ParallelOption = None,
    gpus: GpusOption = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="Train replicas of several files as one program where they match; each has its verdict."
        ),
    ] = False,
) -> None:
    """Test a hypothesis: register it, train all arms over all seeds, judge them and write the verdict.

    If the file names a beacon, its round is waited for first, up to ten minutes. To resume a run that was stopped from
    its last checkpoint, give the same command again. Of several files, or of a folder, all are checked and registered
    before the first trains, and those that have a verdict are left alone.
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
        yes=yes,
        parallel=parallel,
        gpus=gpus,
        together=together,
        on=on,
    )
    from harness.pipeline.pilot import run_pilot
    from harness.pipeline.run import run_hypothesis
    from harness.pipeline.session import Session
    from harness.pipeline.several import run_several
    from harness.spec.folders import is_folder

    pilot_of = partial(run_pilot, seeds=pilot_seeds, epochs=pilot_epochs) if pilot else None
    if len(files) > 1 or is_folder(files[0]):
        if "round_file" in TYPED:
            raise UsageError("a round is given to one hypothesis", where="--round", remedy="name one, or leave it out")
        with reporting() as reporter:
            _print_all(run_several(files, settings, reporter, pilot_of), pilot=pilot)
        return
    if together:
        remedy = "leave it out, or name several hypotheses; an attempt that was started together goes on without it"
        raise UsageError("has no effect on one hypothesis", where="--together", remedy=remedy)
    with reporting() as reporter:
        session = Session.open(files[0], settings, reporter)
        report = (pilot_of or run_hypothesis)(files[0], session)
    print_report(report, pilot=pilot)
    print_head(report)


def print_report(report: Report, *, pilot: bool, mark: str = "") -> None:
    """Print what a run came to, in a sentence, and where its page is; ``mark``: what must stand beside the outcome."""
    out.only_tells()
    decision = report.decision
    if pilot:
        out.print(f"{report.hypothesis.id}: pilot, no outcome", markup=False)
    else:
        came = "as predicted" if decision.outcome == decision.predicted else f"predicted: {decision.predicted}"
        out.print(f"[bold]{escape(report.hypothesis.id)}: {escape(decision.outcome)}[/bold] ({escape(came)}{mark})")
    out.print(decision.summary, markup=False)
    out.print(str(show_path(report.folder / "verdict.md")), markup=False)


def print_head(report: Report) -> None:
    """Print the ledger's head."""
    err.print(f"ledger head, worth keeping elsewhere: {report.head}", markup=False)


def _print_all(ended: Iterator[Ended], *, pilot: bool) -> None:
    """Print what became of each hypothesis when it is known, and then how many came to what.

    Raises:
        Exit: with the code of the first that failed.
    """
    counts = {"judged": 0, "judged before": 0, "failed": 0}
    last: Report | None = None
    code = 0
    for one in ended:
        if one.report is not None:
            last = one.report
            print_report(last, pilot=pilot)
            counts["judged"] += 1
        elif one.judged is not None:
            told = f"{one.hypothesis}: {one.judged.outcome}, run {one.judged.run}, judged before: nothing was run"
            out.print(told, markup=False)
            counts["judged before"] += 1
        elif one.error is not None:
            err.print(f"{one.hypothesis} has no verdict:", markup=False)
            print_error(one.error)
            counts["failed"] += 1
            code = code or one.error.exit_code
    if last is not None:
        print_head(last)
    kinds = {"judged": "tried out"} if pilot else {}
    parts = [f"{count} {kinds.get(kind, kind)}" for kind, count in counts.items() if count]
    total = format_count(sum(counts.values()), "hypothesis", "hypotheses")
    err.print(f"{total}: {', '.join(parts)}", markup=False)
    if code:
        raise typer.Exit(code)


LINE_SECONDS = 2.0  # between two lines about replicas of a program, of which there may be hundreds


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Report progress on stderr. During training, a first signal stops with a checkpoint, a second at once."""
    from harness.pipeline.session import Reporter

    def say(text: str) -> None:
        err.print(text, markup=False)

    with signals.listening(), say_from_thread(say) as told, show_progress() as show:

        def train_gently() -> AbstractContextManager[None]:
            keep_modules()
            return signals.gently(lambda: told("stopping with a checkpoint (again: at once)"))

        yield Reporter(
            say=say,
            progress=show,
            stop=signals.asked,
            allow=partial(ask_for_commands, show.bar),
            heed=signals.heed,
            training=train_gently,
        )


@cache
def keep_modules() -> None:
    """Spare the collector, which training asks before every capture, all that PyTorch loaded; it stays anyway.

    It is done once: later there may be cycles of an earlier hypothesis, whose tensors are to be freed.
    """
    gc.freeze()


def ask_for_commands(bar: Bar, hypothesis: str, commands: tuple[str, ...]) -> bool:
    """Show the commands of a hypothesis and ask whether they may run here; without a terminal nobody is asked."""
    if not (sys.stdin.isatty() and err.on_terminal):
        return False
    bar.stop()  # it would wipe out the question, several times a second
    err.print(f"{hypothesis} runs these commands, which have not run on this machine yet:", markup=False)
    for line in commands:
        err.print(f"    {make_plain_line(line)}", markup=False)
    answer = typer.confirm("Run them?", default=False, err=True)
    bar.start()
    return answer


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

    from harness.pipeline.telling import Speed

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
        yield Shown(bar, Speed())


@dataclass
class Shown:
    """Shows where training is."""

    bar: Bar
    speed: Speed
    task: Any = None
    last_line: float = 0.0
    cohorts: set[int] = field(default_factory=set)

    def __call__(self, at: Progress) -> None:
        """Show one moment of training; called after every epoch."""
        if at.message:
            err.print(at.message, markup=False)
            return
        now = time.monotonic()
        if self.speed.hear(at):
            self.cohorts = set()
            if self.task is not None:
                self.bar.update(self.task, total=at.steps_total)
        speed = self.speed.tell()
        rate = f"{speed:,.0f} replica steps/s" if speed and at.replica is None else ""
        where = f"{', '.join(at.arms)}: {format_count(at.replicas, 'replica')}, epoch {at.epoch}/{at.epochs}"
        text = f"cohort {at.cohort}/{at.cohorts} · {where}"
        if at.replica is not None:
            far = "begins" if at.epoch == 0 else "is done" if at.epoch == at.epochs else f"epoch {at.epoch}/{at.epochs}"
            text = f"{at.cohort} of {at.cohorts} replicas done · {at.replica} {far}"
        if err.console.is_terminal:
            if self.task is None:
                self.task = self.bar.add_task(text, total=at.steps_total, speed="")
            self.bar.update(self.task, description=text, completed=at.steps_done, speed=rate)
        elif at.replica is not None and at.steps_done != at.steps_total and now - self.last_line < LINE_SECONDS:
            return
        elif at.cohort not in self.cohorts or now - self.last_line > 30 or at.steps_done == at.steps_total:
            left = f"{(at.steps_total - at.steps_done) / speed:.0f} s left" if speed else ""
            ending = "".join(f", {part}" for part in (left, rate) if part)
            err.print(f"{text}{ending}", markup=False)
            self.last_line = now
            self.cohorts.add(at.cohort)  # several may be under way at once
