"""The command line: verbs, options, exit codes. The only module that prints or exits.

Data goes to stdout; progress, notes and errors to stderr. Exit codes: 0 done, whatever the verdict; 1 the program
failed; 2 wrong usage or an invalid hypothesis; 3 tampered evidence; 130 interrupted.
"""

from __future__ import annotations

import json
import signal
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.table import Table

from harness import __version__
from harness.errors import HarnessError, InvalidHypothesis, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from harness.engine import Progress
    from harness.pipeline import Reporter, Settings

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
DEBUG = {"on": False}


P = ParamSpec("P")


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """Turn a verb's errors into one message and an exit code."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except HarnessError as error:
            failed(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            err.print("interrupted", markup=False)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise typer.Exit(1) from None
        except Exception as error:
            if DEBUG["on"]:
                traceback.print_exc()
            text = f"internal error: {type(error).__name__}: {error}"
            remedy = (
                "this is a defect of harness: give the command again as harness --debug … and report what it prints"
            )
            failed(HarnessError(text, remedy=remedy))
            raise typer.Exit(1) from None

    return guarded


def failed(error: HarnessError) -> None:
    """One message on stderr."""
    if DEBUG["on"] and not isinstance(error, InvalidHypothesis):
        traceback.print_exc()
    if isinstance(error, InvalidHypothesis):
        err.print(str(error), markup=False)
        count = len(error.findings)
        err.print(f"{count} {'finding' if count == 1 else 'findings'}: nothing was started", markup=False)
    else:
        err.print(f"[red]error:[/red] {escape(str(error))}")


def escape(text: str) -> str:
    """Text that rich shows as it is."""
    from rich.markup import escape as plain

    return plain(text)


app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Pre-registered hypothesis tests for machine-learning experiments.

    One YAML file states arms, metric, thresholds, seeds, and what each outcome would mean.
    It is registered, trained over all seeds, tested across them, and judged.

    Start with: [bold]harness run hypotheses/quickstart_digits.yaml[/bold]""",
)

File = Annotated[Path, typer.Argument(help="A hypothesis: one YAML file.", show_default=False)]
DeviceOption = Annotated[
    str, typer.Option("--device", envvar="HARNESS_DEVICE", help="auto, cpu, cuda or cuda:<number>.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="HARNESS_DATA", help="Data folder. Default: data/ in the project.", show_default=False
    ),
]
VerdictsOption = Annotated[
    Path | None,
    typer.Option(
        "--verdicts",
        envvar="HARNESS_VERDICTS",
        help="Folder of the audit trail. Default: verdicts/ in the project.",
        show_default=False,
    ),
]
FormatOption = Annotated[str, typer.Option("--format", help="text or json.")]


@app.callback()
@verb
def settings_of_the_project(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Read ``[tool.harness]`` of the project's pyproject.toml: option > HARNESS_* variable > file > default."""
    DEBUG["on"] = debug
    if version:
        out.print(f"harness {__version__}")
        raise typer.Exit
    pyproject = Path("pyproject.toml")
    if pyproject.is_file():
        try:
            tool = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {})
            own = tool.get("harness", {}) if isinstance(tool, dict) else {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot be read: {error}", where="pyproject.toml") from error
        if not isinstance(own, dict) or not all(isinstance(value, str) for value in own.values()):
            raise UsageError("[tool.harness] takes texts", where="pyproject.toml", remedy='write device = "cpu"')
        known = {"device", "data", "verdicts"}
        if unknown := sorted(set(own) - known):
            raise UsageError(
                f"unknown key {unknown[0]!r}",
                where="pyproject.toml [tool.harness]",
                remedy=f"known keys: {', '.join(sorted(known))}",
            )
        ctx.default_map = {verb: dict(own) for verb in ("run", "plan", "list", "show", "reverdict")}


def main() -> None:
    """Entry point."""
    app()


# run ----------------------------------------------------------------------------------------------------------------


@app.command()
@verb
def run(
    file: File,
    device: DeviceOption = "auto",
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Go on with an attempt that was stopped, or close it and start anew."
        ),
    ] = True,
    require_registered: Annotated[
        bool, typer.Option("--require-registered", help="Refuse to run what was not registered before.")
    ] = False,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="Few seeds and epochs, watermarked; never gives an outcome.")
    ] = False,
    pilot_seeds: Annotated[int, typer.Option("--pilot-seeds", min=1, help="Seeds of a pilot.")] = 2,
    pilot_epochs: Annotated[int, typer.Option("--pilot-epochs", min=1, help="Epochs of a pilot.")] = 2,
    compile_programs: Annotated[
        str, typer.Option("--compile", help="Compile a card's programs: auto (if it pays), on or off.")
    ] = "auto",
    checkpoint_every: Annotated[
        float, typer.Option("--checkpoint-every", min=0, help="Seconds between checkpoints.")
    ] = 60.0,
) -> None:
    """Test a hypothesis: register it, train all arms over all seeds, judge, and write the verdict.

    A run that was stopped goes on from its last checkpoint when the same command is given again.
    """
    settings = _settings(
        device,
        data,
        verdicts,
        compile=compile_programs,
        resume=resume,
        require_registered=require_registered,
        checkpoint_seconds=checkpoint_every,
    )
    from harness import pipeline

    with reporting() as reporter:
        if pilot:
            report = pipeline.pilot(file, settings, reporter, seeds=pilot_seeds, epochs=pilot_epochs)
        else:
            report = pipeline.run(file, settings, reporter)
    decision = report.decision
    if pilot:
        out.print(f"{report.hypothesis.id}: pilot, no outcome", markup=False)
    else:
        came = "as predicted" if decision.outcome == decision.predicted else f"predicted: {decision.predicted}"
        out.print(f"[bold]{escape(report.hypothesis.id)}: {escape(decision.outcome)}[/bold] ({escape(came)})")
    out.print(decision.summary, markup=False)
    out.print(str(_shown(report.folder / "verdict.md")), markup=False)
    err.print(f"ledger head, worth keeping elsewhere: {report.head}", markup=False)


def _settings(device: str, data: Path | None, verdicts: Path | None, **more: Any) -> Settings:
    from harness.pipeline import Settings

    return Settings(device=device, data=data, verdicts=verdicts, **more)


def _shown(path: Path) -> Path:
    """Relative to here if it is below."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Progress on stderr; a first Ctrl-C or SIGTERM stops after the epoch, a second at once."""
    from harness.pipeline import Reporter

    stopping = {"asked": False}

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stopping["asked"]:
            raise KeyboardInterrupt
        stopping["asked"] = True
        err.print("stopping after this epoch (again: at once)", markup=False)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with progress_bar() as show:
            yield Reporter(
                say=lambda text: err.print(text, markup=False), progress=show, stop=lambda: stopping["asked"]
            )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_bar() -> Iterator[Any]:
    """A bar on a terminal; elsewhere a line at the start of each cohort and every half minute."""
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
        console=err,
        disable=not err.is_terminal,
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
    cohort: int = 0

    def __call__(self, at: Progress) -> None:
        """Called after every epoch."""
        if at.message:
            err.print(at.message, markup=False)
            return
        now = time.monotonic()
        if self.first_step is None:
            self.first_step, self.started = at.steps_done, now
        seconds = now - self.started
        speed = (at.steps_done - self.first_step) / seconds if seconds > 0 else 0.0
        where = f"{', '.join(at.arms)}: {at.replicas} replicas, epoch {at.epoch}/{at.epochs}"
        text = f"cohort {at.cohort}/{at.cohorts} · {where}"
        if err.is_terminal:
            if self.task is None:
                self.task = self.bar.add_task(text, total=at.steps_total, speed="")
            self.bar.update(self.task, description=text, completed=at.steps_done, speed=f"{speed:,.0f} replica steps/s")
        elif at.cohort != self.cohort or now - self.last_line > 30 or at.steps_done == at.steps_total:
            left = (at.steps_total - at.steps_done) / speed if speed else None
            ending = "" if left is None else f", {left:.0f} s left, {speed:,.0f} replica steps/s"
            err.print(f"{text}{ending}", markup=False)
            self.last_line, self.cohort = now, at.cohort


# plan ---------------------------------------------------------------------------------------------------------------


@app.command()
@verb
def plan(
    ctx: typer.Context,
    file: File,
    device: DeviceOption = "auto",
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
) -> None:
    """Show what a run would do: arms and seeds, cohorts, steps, memory, rough time, and where data come from."""
    from harness import pipeline

    settings = _settings(device, data, verdicts)
    seen = pipeline.outlook(file, settings)
    cohorts: list[dict[str, Any]] = [
        {
            "arms": list(cohort.arms),
            "replicas": len(cohort.replicas),
            "steps": seen.planned.steps(cohort),
            "memory_bytes": cohort.memory_bytes,
        }
        for cohort in seen.planned.cohorts
    ]
    origins = {name: _origin(ctx, name) for name in ("device", "data", "verdicts")}
    if _json(form):
        plain = {
            "hypothesis": seen.hypothesis.id,
            "registration": seen.registration,
            "cohorts": cohorts,
            "steps": seen.estimate.steps,
            "memory_bytes": seen.estimate.memory_bytes,
            "seconds": seen.estimate.seconds,
            "device": seen.device,
            "data": seen.data,
            "settings_from": origins,
        }
        print(json.dumps(plain, indent=1))
        return
    arms, seeds = len(seen.hypothesis.arms), seen.hypothesis.seeds.number
    out.print(f"[bold]{escape(seen.hypothesis.id)}[/bold]: {escape(seen.hypothesis.title)}")
    out.print(f"{arms} arms × {seeds} seeds = {arms * seeds} replicas")
    table = Table("cohort", "arms", "replicas", "steps", "memory", box=None, pad_edge=False)
    for number, cohort in enumerate(cohorts, 1):
        table.add_row(
            str(number),
            ", ".join(cohort["arms"]),
            str(cohort["replicas"]),
            f"{cohort['steps']:,}",
            _bytes(cohort["memory_bytes"]),
        )
    out.print(table)
    time_needed = _duration(seen.estimate.seconds)
    out.print(f"training: roughly {time_needed} on {seen.device} ({origins['device']})", markup=False)
    for name, place in seen.data.items():
        out.print(f"data: {name}, {place} ({origins['data']})", markup=False)
    state = (
        f"registered: {seen.registration[:12]}" if seen.registration else "not registered yet: a run registers it first"
    )
    out.print(state, markup=False)


def _origin(ctx: typer.Context, name: str) -> str:
    source = ctx.get_parameter_source(name)
    words = {
        "COMMANDLINE": f"from --{name}",
        "ENVIRONMENT": f"from HARNESS_{name.upper()}",
        "DEFAULT_MAP": "from [tool.harness]",
    }
    return words.get(source.name, "default") if source is not None else "default"


def _json(form: str) -> bool:
    if form not in ("text", "json"):
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text or json")
    return form == "json"


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# check, list, show ---------------------------------------------------------------------------------------------------

DEFAULT_FOLDER = Path("hypotheses")


@app.command()
@verb
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. Default: hypotheses/.", show_default=False)
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, json or github.")] = "text",
) -> None:
    """Check hypothesis files: all findings of all files, each with its place. Trains nothing, loads no torch."""
    from harness import spec

    if form not in ("text", "json", "github"):
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text, json or github")
    report = spec.load_folder(paths or [DEFAULT_FOLDER])
    if form == "json":
        print(json.dumps([vars(finding) for finding in report.findings], indent=1, ensure_ascii=False))
    for finding in report.findings:
        if form == "text":
            out.print(str(finding), markup=False)
        elif form == "github":
            remedy = f" → {finding.remedy}" if finding.remedy else ""
            text = f"{finding.message}{remedy}".replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
            print(f"::{finding.severity} file={finding.file},line={finding.line},col={finding.column}::{text}")
    wrong = sum(finding.severity == "error" for finding in report.findings)
    good = len(report.loaded)
    err.print(f"{good} {'file' if good == 1 else 'files'} valid, {wrong} {'error' if wrong == 1 else 'errors'}")
    if wrong:
        raise typer.Exit(2)


@app.command("list")
@verb
def list_hypotheses(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. Default: hypotheses/.", show_default=False)
    ] = None,
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
) -> None:
    """List hypotheses with their registration, attempts and last outcome."""
    from harness import pipeline, spec

    as_json = _json(form)
    report = spec.load_folder(paths or [DEFAULT_FOLDER])
    rows = [pipeline.standing(loaded, _settings("auto", None, verdicts)) for loaded in report.loaded]
    if as_json:
        plain = [
            {
                "id": row.hypothesis.id,
                "title": row.hypothesis.title,
                "file": str(_shown(row.path)),
                "registered": row.registered,
                "attempts": [attempt.model_dump() for attempt in row.attempts],
                "predicted": row.hypothesis.prediction.outcome,
                "outcome": row.outcome,
            }
            for row in rows
        ]
        print(json.dumps(plain, indent=1, ensure_ascii=False))
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("hypothesis", "registered", "attempts", "predicted", "outcome"):
            table.add_column(name, overflow="fold")
        table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=max(10, out.width - 75))
        for row in rows:
            table.add_row(
                row.hypothesis.id,
                row.registered[:10] if row.registered else "no",
                str(sum(attempt.status != "pilot" for attempt in row.attempts)),
                row.hypothesis.prediction.outcome,
                row.outcome or "–",
                escape(row.hypothesis.title),
            )
        out.print(table)
    if report.findings:
        files = len({finding.file for finding in report.findings})
        err.print(f"{files} {'file has' if files == 1 else 'files have'} findings: see harness check", markup=False)


@app.command()
@verb
def show(
    name: Annotated[str, typer.Argument(help="A hypothesis's id or a run's first digits.", show_default=False)],
    verdicts: VerdictsOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="The Markdown as it is, on a terminal too.")] = False,
) -> None:
    """Print the last verdict on a hypothesis."""
    from harness import pipeline

    path, text = pipeline.read_verdict(name, verdicts if verdicts is not None else Path("verdicts"))
    if out.is_terminal and not raw:
        from rich.markdown import Markdown

        out.print(Markdown(text))
    else:
        print(text, end="")
    err.print(str(_shown(path)), markup=False)


@app.command()
@verb
def reverdict(
    name: Annotated[str, typer.Argument(help="A hypothesis's id or a run's first digits.", show_default=False)],
    verdicts: VerdictsOption = None,
) -> None:
    """Judge a stored run again from its registration and results, and compare the bytes. Needs no GPU and no data."""
    from harness import pipeline

    again = pipeline.reverdict(name, verdicts if verdicts is not None else Path("verdicts"))
    out.print(f"{_shown(again.folder)}: {again.outcome}", markup=False)
    if again.differing:
        err.print(f"differs from what is stored: {', '.join(again.differing)}", markup=False)
        raise typer.Exit(4)
    if again.rounded:
        err.print(f"the same but for last digits: {', '.join(again.rounded)}", markup=False)
    if again.redrawn:
        err.print(f"the same numbers, drawn otherwise here: {', '.join(again.redrawn)}", markup=False)
    if not again.rounded and not again.redrawn:
        err.print("the same to the byte", markup=False)


if __name__ == "__main__":
    main()
