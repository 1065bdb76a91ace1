"""``harness explain`` and ``harness schema``: what can be written in a file, for people and for editors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
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
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Write a page of each family of plug-ins here instead.", show_default=False),
    ] = None,
) -> None:
    """Explain a name: its equation, source, use, traps and parameters. Without a name, list all names."""
    from harness import spec

    if folder is not None:
        if name is not None:
            message, remedy = "--out writes the pages of all plug-ins", "leave out the name, or --out"
            raise UsageError(message, where="harness explain", remedy=remedy)
        _write_files(folder, spec.make_pages())
        return
    if name is None:
        known = spec.list_names()
        if wants_json(form):
            print_json(known)
            return
        for kind in dict.fromkeys(kind for kinds in known.values() for kind in kinds):
            out.print(f"[bold]{kind}[/bold]: {escape(', '.join(key for key in known if kind in known[key]))}")
        return
    found = spec.explain(name)
    if wants_json(form):
        print_json([asdict(explanation) for explanation in found])
        return
    alike: dict[Explanation, list[str]] = {}  # an option of estimands is also one of exploratory ones
    for explanation in found:
        alike.setdefault(replace(explanation, name=""), []).append(explanation.name)
    for position, (explanation, names) in enumerate(alike.items()):
        if position:
            out.print()
        _show(explanation, names)


def _show(explanation: Explanation, names: list[str]) -> None:
    from rich.table import Table

    out.print(", ".join(f"[bold]{escape(name)}[/bold]" for name in names) + f" ({explanation.kind})")
    out.print(explanation.text, markup=False)
    if explanation.equation:
        out.print("equation: " + explanation.equation.replace("\n", "\n          "), markup=False)
    for part in ("source", "use", "traps"):
        if told := getattr(explanation, part):
            out.print(f"{part}: {told}", markup=False)
    for key, value, meaning in explanation.facts:
        if value in ("null", "[]") and meaning:  # a plug-in declares nothing for the steps that would compute it
            continue
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

    made = spec.make_schemas()
    if folder is not None:
        _write_files(folder, made)
        return
    if f"{name}.schema.json" not in made:
        raise UsageError(
            f"there is no schema of {name!r}", where="harness schema", remedy="ask for hypothesis or claims"
        )
    print(made[f"{name}.schema.json"], end="")


def _write_files(folder: Path, made: Mapping[str, str]) -> None:
    """Write files, given by name and contents, into a folder, and tell which."""
    from harness.system.storage import write_atomic

    for file, text in made.items():
        write_atomic(folder / file, text.encode())
        err.print(str(show_path(folder / file)), markup=False)
