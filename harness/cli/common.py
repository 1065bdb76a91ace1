"""Shared parts of the verbs: consoles, options, and how an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import json
import os
import re
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from harness.cli.signals import Ended, signals
from harness.cli.streams import Outlet
from harness.errors import HarnessError, Interrupted, InvalidHypothesis, UsageError
from harness.system.libraries import explain_load_failure
from harness.system.storage import FULL, build_storage_error
from harness.wording import format_count, make_plain

if TYPE_CHECKING:
    from rich.console import Console

    from harness.ledger import Ledger
    from harness.pipeline.project import Project, Settings
    from harness.pipeline.session import Reporter, Session


UNLIMITED = 1_000_000
"""Width in columns of whatever goes to a file or another program, which have none."""


class Stream:
    """One of stdout and stderr. It writes lines unchanged and has rich draw everything else.

    rich is loaded when it is first needed, and lines bypass it: a report of ten thousand lines would take it seconds.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr
        self._outlet = Outlet(stderr=stderr)
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """Return the console for what is more than lines of text.

        From then on the lines go through it too, as a progress bar needs.
        """
        if self._console is None:
            from rich.console import Console

            width = None if self.on_terminal else UNLIMITED
            file: Any = self._outlet
            self._console = Console(
                file=file, stderr=self._stderr, highlight=False, soft_wrap=True, emoji=False, width=width
            )
        return self._console

    @property
    def on_terminal(self) -> bool:
        """Tell whether the stream is a terminal. Only a terminal has a width."""
        return self._outlet.isatty()

    def only_tells(self) -> None:
        """Ignore from now on that nobody can read the stream, because all that is printed later is already stored."""
        self._outlet.lossy = True

    def print(self, *shown: Any, markup: bool = True, style: str | None = None, end: str = "\n") -> None:
        """Print texts and whatever rich can draw.

        ``markup`` tells whether the texts contain rich's markup. ``style`` is a colour, or bold. Nothing in a text is
        obeyed, whoever wrote it; what goes into a table is made plain by ``escape``.
        """
        shown = tuple(make_plain(one) if isinstance(one, str) else one for one in shown)
        if self._stderr:
            with suppress(OSError):  # what stands in its way is told when the verb is done
                out.flush()  # both may end in one place
        try:
            self._print(shown, markup, style, end)
        except OSError as error:
            if error.errno != errno.EBADF:  # whoever started this has closed the stream: nobody wants to know
                raise

    def write(self, text: str) -> None:
        """Write the text of one of harness's files as UTF-8, whatever the stream's encoding is."""
        self.flush()
        if (bytes_of := getattr(self._outlet.file, "buffer", None)) is not None:
            bytes_of.write(text.encode())
        else:
            self._outlet.write(text)

    def flush(self) -> None:
        """Write out everything that is still buffered."""
        self._outlet.flush()

    def _style(self, text: str, style: str | None) -> str:
        if style is None or "NO_COLOR" in os.environ or not self._outlet.isatty():
            return text
        kind: dict[str, Any] = {"bold": True} if style == "bold" else {"fg": style}
        return typer.style(text, **kind)

    def _print(self, shown: tuple[Any, ...], markup: bool, style: str | None, end: str) -> None:
        if markup or self._console is not None:
            plain = all(isinstance(one, str) for one in shown)  # lines are left to the terminal; what is drawn fits it
            for table in (one for one in shown if hasattr(one, "columns")):
                self._fit(table)
            self.console.print(*shown, markup=markup, style=style, end=end, soft_wrap=plain)
            return
        self._outlet.write(self._style(" ".join(map(str, shown)), style) + end)
        if self._stderr:
            self.flush()

    def _fit(self, table: Any) -> None:
        """Keep the words of a table whole where they fit; fold those that do not, so that none ends in dots."""
        from harness.cli.tables import fit_columns

        for column in table.columns:
            if not column.no_wrap:
                column.overflow = "fold"
        if self.on_terminal:
            fit_columns(table, self.console, self.console.options)


out = Stream()
err = Stream(stderr=True)
DEBUG = {"on": False}
TYPED: set[str] = set()
"""Parameters of the verb that were given with this command, and not by a variable or as a default."""

File = Annotated[Path, typer.Argument(help="Hypothesis file (YAML).", show_default=False)]
Files = Annotated[list[Path], typer.Argument(help="Hypothesis files (YAML), or folders of them.", show_default=False)]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Device: auto, cpu, cuda or cuda:<number>. Variable: HARNESS_DEVICE. Default: auto.",
        show_default=False,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the data sets. Variable: HARNESS_DATA. Default: data/ in the project.",
        show_default=False,
    ),
]
VerdictsOption = Annotated[
    Path | None,
    typer.Option(
        "--verdicts",
        help="Folder of the audit trail. Variable: HARNESS_VERDICTS. Default: verdicts/ in the project.",
        show_default=False,
    ),
]
ExportFormOption = Annotated[
    str | None,
    typer.Option(
        "--form",
        help="Form of the files: runs_json, runs_csv, mlflow_csv or wandb_csv. Default: runs_json for .json.",
        show_default=False,
    ),
]
OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="Train at a place of [tool.harness.on], such as a cluster, or at tls://HOST:PORT, a Dask scheduler. "
        "Variable: HARNESS_ON. Default: here.",
        show_default=False,
        envvar="HARNESS_ON",
        show_envvar=False,
    ),
]
RoundOption = Annotated[
    Path | None,
    typer.Option(
        "--round",
        help="File with the round of the file's beacon, as the beacon answers it. Default: it is fetched.",
        show_default=False,
    ),
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Let a program's commands run here for the first time without asking.")
]
ParallelOption = Annotated[
    int | None,
    typer.Option(
        "--parallel",
        min=1,
        help="Number of a program's replicas that run at a time, with --on in each job.",
        show_default="one per core, with --on one",
    ),
]
GpusOption = Annotated[
    int | None,
    typer.Option(
        "--gpus", min=1, help="Number of cards of its own for each of a program's replicas.", show_default="none"
    ),
]
FormatOption = Annotated[str, typer.Option("--format", help="Output format: text or json.")]


P = ParamSpec("P")


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """Wrap a verb so that its errors become one message and an exit code."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        # A process of its own has listened since it started; where verbs are called as functions, it begins here.
        with signals.listening():
            answer(*args, **kwargs)

    def answer(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
            out.flush()  # nobody may be reading any more
            signals.heed()
        except (typer.Exit, typer.Abort):
            raise
        except Interrupted as error:
            print_error(error)
            raise typer.Exit(signals.code or error.exit_code) from None
        except HarnessError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from None
        except Ended:
            err.print("interrupted", markup=False)
            raise
        except SystemExit as error:  # a library's, as it was loaded: TORCH_LOGS=help ends the program with code 0
            if (told := explain_load_failure(error)) is None:
                raise
            print_error(told)
            raise typer.Exit(told.exit_code) from None
        except KeyboardInterrupt:
            err.print("interrupted", markup=False)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise typer.Exit(1) from None
        except Exception as error:
            if DEBUG["on"]:
                traceback.print_exc()
            if signals.code is not None:  # what a signal breaks off is told as other errors by some libraries
                err.print("interrupted", markup=False)
                raise typer.Exit(signals.code) from None
            if isinstance(error, OSError) and error.errno in FULL:
                full = build_storage_error(Path(error.filename or "the output"), error)  # stdout led to a file
                print_error(full)
                raise typer.Exit(full.exit_code) from None
            if (told := explain_load_failure(error)) is not None:
                print_error(told)
                raise typer.Exit(told.exit_code) from None
            from harness.plugins.distributions import explain_failure

            if (others := explain_failure(error)) is not None:
                print_error(others)
                raise typer.Exit(others.exit_code) from None
            text = f"internal error: {type(error).__name__}: {error}"
            remedy = (
                "this is a defect of harness: give the command again as harness --debug … and report what it prints"
            )
            print_error(HarnessError(text, remedy=remedy))
            raise typer.Exit(1) from None

    return guarded


def print_error(error: HarnessError) -> None:
    """Print an error as one message on stderr."""
    if DEBUG["on"] and not isinstance(error, InvalidHypothesis):
        traceback.print_exc()
    if isinstance(error, InvalidHypothesis):
        err.print(str(error), markup=False)
        count = len(error.findings)
        err.print(f"{format_count(count, 'finding')}: nothing was started", markup=False)
    else:
        err.print(f"[red]error:[/red] {escape(str(error))}")


def escape(text: str) -> str:
    """Return text that rich prints unchanged and nobody obeys."""
    from rich.markup import escape as plain

    return plain(make_plain(text))


def print_json(value: object) -> None:
    """Print a value as JSON to stdout; of its texts, what nobody sees or somebody obeys is escaped as JSON does."""
    print(escape_json(json.dumps(value, indent=1, ensure_ascii=False)))


def escape_json(text: str) -> str:
    """Return JSON of the same value in which nothing is unseen or obeyed."""
    seen = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    return re.sub(r"#(?=#\w*\[)", r"\\u0023", seen)  # a log of continuous integration would take it for a command


def collect_settings(
    device: str | None = None, data: Path | None = None, verdicts: Path | None = None, **more: Any
) -> Settings:
    """Collect the options that most verbs take, and the user's variables, for ``harness.pipeline``."""
    from harness.pipeline.project import Settings

    asked = ("data", "compile", "pilot_seeds", "pilot_epochs")
    typed = frozenset(name for name in asked if name in TYPED or f"{name}_programs" in TYPED)
    defaults = {"device": device, "data": data, "verdicts": verdicts, "variables": os.environ, "typed": typed}
    return Settings(**defaults | more)


def find_project_here(settings: Settings | None = None) -> Project:
    """Find the project around the current folder, which verbs use that are given no file."""
    from harness.pipeline.project import find_project_around

    return find_project_around(Path(), collect_settings() if settings is None else settings)


def open_trail_here(verdicts: Path | None) -> Ledger:
    """Open the trail for verbs that are given a name: the current project's, unless an option names another.

    Raises:
        UsageError: an option or a variable names a folder that is not there.
    """
    return _call_nearby(find_project_here(collect_settings(verdicts=verdicts)).open_named_trail())


def open_trail_of(path: Path, verdicts: Path | None, *, begun: bool = True) -> Ledger:
    """Open the trail that a file or a folder belongs to.

    ``begun``: whether one that an option or a variable names must be there.

    Raises:
        UsageError: it is not there.
    """
    from harness.pipeline.project import find_project

    project = find_project(path, collect_settings(verdicts=verdicts))
    return _call_nearby(project.open_named_trail() if begun else project.open_trail())


def open_session_here(settings: Settings, reporter: Reporter) -> Session:
    """Open a session in the current folder's project, for verbs that are given a name.

    Raises:
        UsageError: an option or a variable names a trail that is not there.
    """
    from harness.pipeline.session import Session

    project = find_project_here(settings)
    trail = _call_nearby(project.open_named_trail())
    return Session(replace(project, verdicts=trail.root), settings, reporter)


def find_hypotheses_here() -> Path:
    """Find the folder of hypothesis files of the current folder's project."""
    return shorten_path(find_project_here().hypotheses)


def _call_nearby(trail: Ledger) -> Ledger:
    """Return the trail under its path as seen from the current folder."""
    from harness.ledger import Ledger

    return Ledger(shorten_path(trail.root))


def shorten_path(path: Path) -> Path:
    """Return the path relative to the current folder if its folder is the current one or above it."""
    here = Path.cwd()
    if path.is_absolute() and here.is_relative_to(path.parent):
        return Path(os.path.relpath(path, here))
    return path


def show_path(path: Path) -> Path:
    """Return a path relative to the current folder if it is below it. A link keeps its own name, wherever it leads."""
    try:
        here = Path.cwd()
    except OSError:  # the folder here is gone
        return path
    plain, real = Path(os.path.normpath(here / path.parent)), Path(os.path.realpath(path.parent))
    for above in (plain, real) if Path(os.path.realpath(plain)) == real else (real,):  # link/.. leads elsewhere
        if (above / path.name).is_relative_to(here):
            return (above / path.name).relative_to(here)
    return path


def wants_json(form: str) -> bool:
    """Tell whether ``--format`` is json; refuse anything but text and json."""
    if form not in ("text", "json"):
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text or json")
    return form == "json"
