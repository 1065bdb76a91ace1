"""The program itself: its help, and the options that may stand before a verb."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer
from typer.models import CommandInfo

from harness import __version__
from harness.cli.common import DEBUG, err, out, verb
from harness.cli.signals import signals
from harness.cli.streams import prepare
from harness.system.without import listen

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


VERBS: list[CommandInfo] = []
"""All verbs, in the order of ``--help``; the program itself may be left with the one that is asked for."""


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"harness {__version__}", markup=False)
        raise typer.Exit


@app.callback()
@verb
def options_of_all_verbs(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # eager: answered before a missing verb is a wrong usage
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that may stand before the verb."""
    DEBUG["on"] = debug


def list_commands() -> dict[str, CommandInfo]:
    """Return the verbs by name."""
    return {
        command.name or command.callback.__name__: command for command in app.registered_commands if command.callback
    }


def _describe() -> None:
    """Give the verbs their descriptions, which ``python -OO`` leaves out."""
    from inspect import unwrap

    from harness.plugins.fields import read_docstring

    for command in app.registered_commands:
        if command.callback is not None:
            command.help = read_docstring(unwrap(command.callback))


def main() -> None:
    """Run the command line, and end the process: to take apart what PyTorch and matplotlib hold would take seconds."""
    code: object = 0
    prepare()
    os.umask(os.umask(0) & 0o077)  # nobody means to lock himself out of what he writes
    listen(lambda text: err.print(f"note: {text}", markup=False))
    words = [word for word in sys.argv[1:] if word != "--debug"]
    if words and (asked := list_commands().get(words[0])) is not None:
        app.registered_commands = [asked]  # typer prepares the options of all, which takes longer than many a verb
    if sys.flags.optimize > 1:
        _describe()
    with signals.listening():
        try:
            app()
        except SystemExit as ended:
            code = ended.code
        end(code)


def end(code: object) -> None:
    """End this process with what is registered for it, and no more."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # nobody may be reading any more, or there was no stream
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
