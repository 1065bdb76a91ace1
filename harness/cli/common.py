"""What the verbs share: consoles, options, and how an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TextIO

import typer

from harness.errors import HarnessError, InvalidHypothesis, UsageError
from harness.storage import FULL, storage_failed

if TYPE_CHECKING:
    from rich.console import Console

    from harness.pipeline import Settings


UNLIMITED = 1_000_000
"""Columns of a table that goes to a file or another program."""


class Stream:
    """stdout or stderr: lines as they are, all else drawn by rich, which is loaded when it is first needed.

    A report may have ten thousand lines, of which rich would make seconds.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr
        self._console: Console | None = None

    @property
    def _file(self) -> TextIO | None:
        """The stream as it is now: tests and shells put others in its place, or none."""
        return sys.stderr if self._stderr else sys.stdout

    @property
    def console(self) -> Console:
        """For what is more than lines of text. From then on the lines go through it too, as a progress bar needs."""
        if self._console is None:
            from rich.console import Console

            width = None if self.on_terminal else UNLIMITED
            self._console = Console(stderr=self._stderr, highlight=False, soft_wrap=True, emoji=False, width=width)
        return self._console

    @property
    def on_terminal(self) -> bool:
        """Whether a person reads this stream as it is: only then is there a width to keep to."""
        file = self._file
        return file is not None and file.isatty()

    def print(self, *shown: Any, markup: bool = True, style: str | None = None, end: str = "\n") -> None:
        """Print texts and what rich can draw; ``markup``: whether texts hold any. ``style``: a colour, or bold."""
        if self._stderr:
            with suppress(OSError):  # what stands in its way is told when the verb is done
                out.flush()  # both may end in one place
        try:
            self._print(shown, markup, style, end)
        except OSError as error:
            if error.errno != errno.EBADF:  # whoever started this has closed the stream: nobody wants to know
                raise

    def flush(self) -> None:
        """Let whoever reads have all of it now."""
        if (file := self._file) is not None:
            file.flush()

    def styled(self, text: str, style: str | None) -> str:
        """Text in a colour, or bold, if whoever reads this stream can see it."""
        file = self._file
        if style is None or file is None or "NO_COLOR" in os.environ or not file.isatty():
            return text
        kind: dict[str, Any] = {"bold": True} if style == "bold" else {"fg": style}
        return typer.style(text, **kind)

    def _print(self, shown: tuple[Any, ...], markup: bool, style: str | None, end: str) -> None:
        if markup or self._console is not None:
            plain = all(isinstance(one, str) for one in shown)  # lines are left to the terminal; what is drawn fits it
            for column in (column for one in shown for column in getattr(one, "columns", ())):
                if not column.no_wrap:  # a table's words that are too wide go on below, and don't end in dots
                    column.overflow = "fold"
            self.console.print(*shown, markup=markup, style=style, end=end, soft_wrap=plain)
            return
        file = self._file
        if file is None:
            return
        print(self.styled(" ".join(map(str, shown)), style), end=end, file=file, flush=self._stderr)


out = Stream()
err = Stream(stderr=True)
DEBUG = {"on": False}
DEFAULT_FOLDER = Path("hypotheses")

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


P = ParamSpec("P")


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """Turn a verb's errors into one message and an exit code."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
            out.flush()  # nobody may be reading any more
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
            if isinstance(error, OSError) and error.errno in FULL:
                full = storage_failed(Path(error.filename or "the output"), error)  # stdout led to a file
                failed(full)
                raise typer.Exit(full.exit_code) from None
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


def settings_from(device: str, data: Path | None, verdicts: Path | None, **more: Any) -> Settings:
    """The options that most verbs take, for ``harness.pipeline``."""
    from harness.pipeline import Settings

    return Settings(device=device, data=data, verdicts=verdicts, **more)


def shown(path: Path) -> Path:
    """Relative to here if it is below."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except (ValueError, OSError, RuntimeError):  # it is not below, or is a link in a circle
        return path


def wants_json(form: str) -> bool:
    """Whether ``--format`` says json; refuses what is neither text nor json."""
    if form not in ("text", "json"):
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text or json")
    return form == "json"
