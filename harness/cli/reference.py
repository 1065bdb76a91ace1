"""``harness explain`` and ``harness schema``: what can be written in a file, for people and for editors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import FormatOption, err, escape, out, print_json, show_path, verb, wants_json
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.spec import Explanation


@app.command()
@verb
def explain(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A rule, metric, criterion, model, data set or penalty, an option such as stopping.kind, or a check.",
            show_default=False,
        ),
    ] = None,
    form: FormatOption = "text",
) -> None:
    """Explain a name in a hypothesis file: its equation, source and parameters. Without a name, list all names."""
    from harness import spec

    if name is None:
        known = spec.list_names()
        if wants_json(form):
            print_json(known)
            return
        for kind in dict.fromkeys(known.values()):
            out.print(f"[bold]{kind}[/bold]: {escape(', '.join(key for key in known if known[key] == kind))}")
        return
    found = spec.explain(name)
    if wants_json(form):
        print_json([asdict(explanation) for explanation in found])
        return
    for position, explanation in enumerate(found):
        if position:
            out.print()
        _show(explanation)


def _show(explanation: Explanation) -> None:
    from rich.table import Table

    out.print(f"[bold]{escape(explanation.name)}[/bold] ({explanation.kind})")
    out.print(explanation.text, markup=False)
    if explanation.source:
        out.print(f"source: {explanation.source}", markup=False)
    for key, value, meaning in explanation.facts:
        out.print(f"{key}: {value}" + (f"  ({meaning})" if meaning else ""), markup=False)
    if explanation.parameters:
        table = Table("parameter", "values", "default", "unit", "what it is", box=None, pad_edge=False)
        for parameter in explanation.parameters:
            default = "required" if parameter.default is None else parameter.default
            cells = (parameter.name, parameter.values, default, parameter.unit or "", parameter.description)
            table.add_row(*map(escape, cells))
        out.print(table)
    if explanation.example is not None:
        out.print(f"example: {explanation.example}", markup=False)


@app.command()
@verb
def schema(
    name: Annotated[str, typer.Argument(help="Kind of file: hypothesis or claims.")] = "hypothesis",
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Write the schemas of all kinds into this folder instead.", show_default=False),
    ] = None,
) -> None:
    """Print the JSON Schema of a kind of file, with all installed plug-ins, for editors and other programs."""
    from harness import spec
    from harness.system.storage import write_atomic

    made = spec.make_schemas()
    if folder is not None:
        for file, text in made.items():
            write_atomic(folder / file, text.encode())
            err.print(str(show_path(folder / file)), markup=False)
        return
    if f"{name}.schema.json" not in made:
        raise UsageError(
            f"there is no schema of {name!r}", where="harness schema", remedy="ask for hypothesis or claims"
        )
    print(made[f"{name}.schema.json"], end="")
