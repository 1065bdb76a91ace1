"""``harness new``: the beginning of a pre-registration."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from harness.cli.app import app
from harness.cli.common import collect_settings, err, find_hypotheses_here, out, show_path, verb
from harness.errors import UsageError
from harness.wording import join_words

FAMILY_OF = {
    "dataset": "datasets",
    "model": "models",
    "rule": "rules",
    "baseline": "rules",
    "penalty": "penalties",
    "metric": "metrics",
    "criterion": "criteria",
    "beacon": "beacons",
}
"""Question → family of the plug-ins that answer it."""
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _make_option(text: str) -> Any:
    return typer.Option(help=text, show_default=False)


@app.command()
@verb
def new(
    id_: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="Id of the hypothesis: lower-case words joined by hyphens.", show_default=False
        ),
    ] = None,
    title: Annotated[str | None, _make_option("The hypothesis as a statement, for a heading.")] = None,
    question: Annotated[str | None, _make_option("The question that the experiment answers.")] = None,
    dataset: Annotated[str | None, _make_option("Data set. Default: digits.")] = None,
    model: Annotated[str | None, _make_option("Model. Default: residual_mlp.")] = None,
    rule: Annotated[str | None, _make_option("Learning rule of the treatment. Default: dfa.")] = None,
    baseline: Annotated[str | None, _make_option("Learning rule of the baseline. Default: bp.")] = None,
    penalty: Annotated[str | None, _make_option("Penalty of the treatment. Default: none.")] = None,
    metric: Annotated[str | None, _make_option("Metric that decides. Default: test_accuracy.")] = None,
    margin: Annotated[float | None, _make_option("Smallest difference that matters. Default: 1.")] = None,
    criterion: Annotated[str | None, _make_option("Statistical test. Default: t.")] = None,
    seeds: Annotated[int | None, _make_option("Number of seeds. Default: 10.")] = None,
    beacon: Annotated[str | None, _make_option("Beacon that draws the seeds, such as drand. Default: none.")] = None,
    program: Annotated[
        str | None,
        _make_option("Command that trains in harness's place, such as 'python train.py --seed {seed} --out {out}'."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Start from a copy of this file.", show_default=False)
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--out", help="Path of the new file. Default: hypotheses/<id>.yaml.", show_default=False),
    ] = None,
) -> None:
    """Write a new hypothesis file with comments. Never overwrites a file.

    Placeholders in <angle brackets> stand for what only you can say; harness check reports each until it is filled in.
    On a terminal, you are asked for the options that you leave out.
    """
    from harness import spec

    given: dict[str, Any] = {
        "id": id_,
        "title": title,
        "question": question,
        "dataset": dataset,
        "model": model,
        "rule": rule,
        "baseline": baseline,
        "penalty": penalty,
        "metric": metric,
        "margin": margin,
        "criterion": criterion,
        "seeds": seeds,
        "beacon": beacon,
    }
    needed = ["id"] if source is not None else ["id", "title", "question"]
    _complete(given, needed, others=source is None and program is None)
    try:
        _check_id(given["id"])
    except typer.BadParameter as error:
        raise UsageError(f"{given['id']!r} is not a valid id", where="harness new", remedy=error.message) from error
    path = target if target is not None else find_hypotheses_here() / f"{given['id'].replace('-', '_')}.yaml"
    schema = _find_schema_beside(path)
    if source is not None:
        loaded = spec.load(source)
        results = _list_results(source, loaded.hypothesis.id)
        text = spec.copy_draft(loaded.raw, str(source), given["id"], schema, results)
    else:
        answers = spec.Answers(**{key: value for key, value in given.items() if value is not None})
        text = (
            spec.write_draft(answers, schema) if program is None else spec.write_program_draft(answers, program, schema)
        )
    _write(path, text)
    _say_what_is_left(path)


def _complete(given: dict[str, Any], needed: Sequence[str], *, others: bool) -> None:
    """Ask for the answers that are needed and missing; on a terminal, if there were none, for all others too.

    Raises:
        UsageError: Some are missing and nobody can be asked.
    """
    from harness import spec

    ask = sys.stdin.isatty() and sys.stderr.isatty()
    missing = [name for name in needed if given[name] is None]
    if missing and not ask:
        typed = [quote(given["id"] or "my-hypothesis"), *(f"--{name} '…'" for name in missing if name != "id")]
        remedy = f"give {'it' if len(missing) == 1 else 'them'}, or answer on a terminal: harness new {' '.join(typed)}"
        raise UsageError(f"a new hypothesis needs its {join_words(missing)}", where="harness new", remedy=remedy)
    for name in missing:
        if name == "id":
            given[name] = typer.prompt("id (words-joined-by-hyphens)", value_proc=_check_id, err=True)
        else:
            given[name] = typer.prompt(name, err=True)
    asked = any(value is not None for key, value in given.items() if key not in needed)
    if others and ask and not asked:
        _ask_the_rest(given, spec.Answers)


def _say_what_is_left(path: Path) -> None:
    """Check the new file, and print its path and what its author has to write in it."""
    found = _check_new_file(path)
    open_places = [finding.line for finding in found if finding.rule == "placeholder"]
    for finding in found:
        if finding.rule != "placeholder":
            err.print(str(finding), markup=False)
    out.print(str(show_path(path)), markup=False)
    todo = "edit it"
    if open_places:
        listed = ", ".join(map(str, open_places[:-1]))
        todo = f"write what stands in <…> in lines {listed} and {open_places[-1]}"
    err.print(f"now {todo}, then: harness check {quote(str(show_path(path)))}", markup=False)


def _check_id(text: str) -> str:
    if not ID.fullmatch(text) or len(text) > 64:
        raise typer.BadParameter("use lower-case words (a-z, 0-9) joined by hyphens, 64 characters at most")
    return text


def _ask_the_rest(given: dict[str, Any], answers: Any) -> None:
    """Ask for every answer that was not given; ask again if one is not valid."""
    from harness.plugins.registry import find_members

    for field in fields(answers):
        if field.name in given and given[field.name] is None:
            default = field.default if field.default is not None else "none"
            if (family := FAMILY_OF.get(field.name)) is not None:
                known = [*(["none"] if field.default is None else []), *find_members(family)]
                question = f"{field.name} ({', '.join(known)})"
                reply = typer.prompt(question, default=default, value_proc=partial(_check_choice, known), err=True)
            else:
                reply = typer.prompt(field.name, default=default, type=type(default), err=True)
            given[field.name] = None if reply == "none" else reply


def _check_choice(known: Sequence[str], text: str) -> str:
    if text not in known:
        raise typer.BadParameter(f"{text!r} is not one of these: {', '.join(known)}")
    return text


def _list_results(source: Path, hypothesis: str) -> tuple[str, ...]:
    """Name what the trail of another file holds of its results: whoever copies it can't call them unseen."""
    from harness.pipeline.prior_data import list_results
    from harness.pipeline.project import Projects

    return list_results(hypothesis, Projects(collect_settings()).trail(source))


def _find_schema_beside(path: Path) -> str | None:
    """Return the project's published schema as seen from the new file, if there is one."""
    schema = path.parent.parent / "schema" / "hypothesis.schema.json"
    return Path(os.path.relpath(schema, path.parent)).as_posix() if schema.is_file() else None


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except FileExistsError as error:
        remedy = "give another id, or another file with --out"
        raise UsageError(
            "there is a file of this name, and it is not overwritten", where=str(path), remedy=remedy
        ) from error
    except OSError as error:
        remedy = "check path and permissions, or name another file with --out"
        raise UsageError(f"can't be written: {error.strerror}", where=str(path), remedy=remedy) from error


def _check_new_file(path: Path) -> tuple[Any, ...]:
    """Return what check finds in the new file beside its neighbours, such as an id that is taken."""
    from harness.pipeline.check import check_files
    from harness.pipeline.project import Projects

    report = check_files([path.parent], Projects(collect_settings()))
    return tuple(finding for finding in report.findings if Path(finding.file).name == path.name)
