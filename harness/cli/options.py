"""Options that would change nothing are refused: whoever gives one believes that it does something.

Only what was typed counts. A variable or [tool.harness] is set once for many commands, and may well not concern one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import HAS_RICH, TyperCommand

from harness.cli.common import TYPED, collect_settings, find_project_here, print_error
from harness.errors import UsageError
from harness.system.names import refuse_address

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Idle:
    """Parameters of a verb that have no effect without another one (``needs``), or beside it (``beside``)."""

    parameters: tuple[str, ...]
    needs: str | None = None
    beside: str | None = None
    value: Any = None
    """Value of the other one, if only this value counts; None: any that was given, or any flag that is set."""
    why: str = ""

    @property
    def other(self) -> str:
        """The parameter that decides."""
        return self.needs or self.beside or ""

    def applies(self, context: typer.Context) -> bool:
        """Tell whether the parameters have no effect in this command."""
        got = _read_value(context, self.other)
        in_force = got == self.value if self.value is not None else got not in (None, False, [], ())
        return in_force != (self.needs is not None)


NOT_COPIED = (
    "title", "question", "dataset", "model", "rule", "baseline", "penalty", "metric", "margin", "criterion", "seeds",
    "beacon", "program",
)  # fmt: skip
MARKUP = re.compile(r"(\[[a-z#/@][^\[]*?\])")
"""A bracket that rich would take for markup, and leave out."""
TRAINED = ("dataset", "model", "rule", "baseline", "penalty", "criterion", "beacon")
COMPILE = Idle(("compile_programs",), beside="device", value="cpu", why="only a card's programs are compiled")
IDLE: dict[str, tuple[Idle, ...]] = {
    "run": (
        Idle(("pilot_seeds", "pilot_epochs"), needs="pilot"),
        Idle(
            ("resume", "require_registered", "checkpoint_every", "round_file"),
            beside="pilot",
            why="a pilot is neither registered nor resumed",
        ),
        Idle(("together",), beside="pilot", why="a pilot trains alone"),
        COMPILE,
    ),
    "plan": (Idle(("measure",), beside="on", why="steps are timed on this machine"),),
    "replicate": (COMPILE,),
    "power": (Idle(("verdicts",), needs="sd_from", why="no trail is read"),),
    "new": (
        Idle(NOT_COPIED, beside="source", why="the copy has those of the file that it is from"),
        Idle(TRAINED, beside="program", why="edit the new file, whose program trains"),
    ),
    "show": (
        Idle(("raw",), beside="history", why="it concerns the verdict's page"),
        Idle(("raw",), beside="form", value="json", why="it concerns the verdict's page"),
    ),
    "link": (Idle(("form", "incomplete"), needs="exports", why="the runs to make are listed"),),
    "schema": (Idle(("name",), beside="folder", why="all schemas are written"),),
    "reverdict": tuple(
        Idle(("figures",), beside=analysis, why="a sensitivity analysis has no figures")
        for analysis in ("criterion", "alpha")
    ),
    "anchor": (Idle(("sign",), beside="tsa", why="give either --tsa or --sign"),),
    "audit": (Idle(("device", "data", "yes"), needs="rerun", why="nothing is trained and no data are read"),),
}
"""Verb → what would change nothing. What depends on a file's content is refused where the file is read."""


class Command(TyperCommand):
    """A verb that refuses such options before it does anything."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the texts of its help what a terminal of any width shows, brackets included."""
        super().__init__(*args, **kwargs)
        self.help = prepare_help(self.help)
        for parameter in self.params:
            if (text := getattr(parameter, "help", None)) is not None:
                parameter.help = prepare_help(text)  # type: ignore[attr-defined]

    def invoke(self, ctx: Any) -> Any:
        """Run the verb, or end with exit code 2."""
        TYPED.clear()
        TYPED.update(name for name in ctx.params if _is_typed(ctx, name))
        try:
            refuse_idle(ctx, IDLE.get(self.name or "", ()))
            if self.name != "export":  # of which each format knows another way
                refuse_addresses(ctx)
        except UsageError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from None
        return super().invoke(ctx)


def prepare_help(text: str | None) -> str | None:
    """Return a help text whose paragraphs are one line each, and in which brackets are no markup."""
    if text is None:
        return None
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return MARKUP.sub(r"\\\1" if HAS_RICH else r"\1", "\n\n".join(paragraphs))


def read_help(text: str | None) -> str:
    """Return a prepared help text as it is shown."""
    return (text or "").replace("\\[", "[")


def refuse_idle(context: typer.Context, rules: Sequence[Idle]) -> None:
    """Refuse options that were typed and have no effect.

    Raises:
        UsageError: the first rule that one of them breaks.
    """
    for rule in rules:
        given = [name for name in rule.parameters if _is_typed(context, name)]
        if not given or not rule.applies(context):
            continue
        named, other = [_spell_option(context, name) for name in given], _spell_option(context, rule.other)
        if rule.value is not None:
            other = f"{other} {rule.value}"
        verb, them = ("has", "it") if len(named) == 1 else ("have", "them")
        link = "without" if rule.needs else "beside"
        reason = f": {rule.why}" if rule.why else ""
        remedy = f"add {other}, or leave {them} out" if rule.needs else f"leave {them} out, or {other}"
        message = f"{', '.join(named)} {verb} no effect {link} {other}{reason}"
        raise UsageError(message, where=f"harness {context.info_name}", remedy=remedy)


def refuse_addresses(context: typer.Context) -> None:
    """Refuse addresses for paths, from which folders would be made.

    Raises:
        UsageError: the first parameter that has one.
    """
    for name, value in context.params.items():
        for path in value if isinstance(value, list | tuple) else (value,):
            if isinstance(path, Path):
                refuse_address(path, _spell_option(context, name))


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _read_value(context: typer.Context, name: str) -> Any:
    """Return a parameter's value, or what the project says where a device was left to it."""
    value = context.params[name]
    if name == "device" and value is None:
        from harness.pipeline.project import find_project

        file = context.params.get("file") or next(iter(context.params.get("files") or ()), None)
        return (find_project(file, collect_settings()) if file is not None else find_project_here()).device
    return value


def _spell_option(context: typer.Context, name: str) -> str:
    """Return a parameter as it is typed: ``--no-resume``, or an argument's name in capitals."""
    (parameter,) = [one for one in context.command.params if one.name == name]
    if parameter.param_type_name == "argument":
        return name.upper()
    switched_off = context.params[name] is False and parameter.secondary_opts
    return str((parameter.secondary_opts if switched_off else parameter.opts)[0])
