"""Completion of a command line that is being typed: verbs, options, their values, ids and runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.app import VERBS
from harness.cli.new import FAMILY_OF
from harness.cli.options import read_help
from harness.cli.shells import SCRIPTS

if TYPE_CHECKING:
    from harness.ledger import Ledger

Candidate = tuple[str, str]
"""A word that may be typed, and what it is."""
CHOICES = re.compile(r"(?:format|Format of the export|Device|Kind of file): ([\w<>:, -]+?)(?: \(|\.|$)")
"""Pattern of the place at which the help of an option or an argument lists its values."""
OPTIONS_OF_ALL = (
    ("--help", "Show this message and exit."),
    ("--version", "Print the version and exit."),
    ("--debug", "Show the traceback of an error."),
)


def complete(words: Sequence[str]) -> list[Candidate]:
    """Return what may stand in place of the last word, given those before it; nothing where a file belongs."""
    *before, last = _join_assignments(words) or [""]
    known = dict(_list_verbs())
    verb = next((word for word in before if not word.startswith("-")), None)
    if verb is None:
        found: Iterable[Candidate] = OPTIONS_OF_ALL if last.startswith("-") else known.items()
    elif verb not in known:
        found = ()
    else:
        found = _complete_verb(verb, before[before.index(verb) + 1 :], last)
    return [(word, about) for word, about in found if word.startswith(last)]


def _join_assignments(words: Sequence[str]) -> list[str]:
    """Return the words without the sign of ``--as = csv``, as which bash gives ``--as=csv``."""
    joined = [word for word in words if word != "="]
    return [*joined, ""] if words and words[-1] == "=" else joined


def _list_verbs() -> Iterator[Candidate]:
    for command in VERBS:
        if command.callback is not None and not command.hidden:
            text = (command.help or command.callback.__doc__ or "").strip()
            yield command.name or command.callback.__name__, text.partition("\n")[0]


def _complete_verb(verb: str, before: Sequence[str], last: str) -> Iterator[Candidate]:
    parameters = _read_parameters(verb)
    options = {name: one for one in parameters for name in _spell(one)}
    head, assigned, _ = last.partition("=")
    if assigned and head in options:
        yield from ((f"{head}={word}", about) for word, about in _list_values(verb, options[head], before))
    elif before and (option := options.get(before[-1])) is not None and not option.is_flag:
        yield from _list_values(verb, option, before)
    elif last.startswith("-"):
        yield from ((name, read_help(one.help)) for name, one in options.items())
        yield OPTIONS_OF_ALL[0]
    else:
        arguments = [one for one in parameters if one.param_type_name == "argument"]
        place = _count_positional(before, options)
        if arguments and (place < len(arguments) or arguments[-1].nargs == -1):
            yield from _list_values(verb, arguments[min(place, len(arguments) - 1)], before)


def _read_parameters(verb: str) -> list[Any]:
    """Return the options and arguments of a verb as typer reads them from its signature."""
    import typer

    alone = typer.Typer(add_completion=False)
    alone.registered_commands = [one for one in VERBS if one.callback and (one.name or one.callback.__name__) == verb]
    return [one for one in typer.main.get_command(alone).params if not getattr(one, "hidden", False)]


def _spell(parameter: Any) -> list[str]:
    return [] if parameter.param_type_name == "argument" else [*parameter.opts, *parameter.secondary_opts]


def _count_positional(before: Sequence[str], options: dict[str, Any]) -> int:
    """Return how many words before the last are neither options nor their values."""
    count, skipping = 0, False
    for word in before:
        if skipping:
            skipping = False
        elif word.startswith("-"):
            skipping = word in options and not options[word].is_flag
        else:
            count += 1
    return count


def _list_values(verb: str, parameter: Any, before: Sequence[str]) -> Iterator[Candidate]:
    """Yield the values that an option or an argument may have; none of those that are files, numbers or free texts."""
    listed = CHOICES.search(parameter.help or "")
    if (source := SOURCES.get((verb, parameter.name)) or SOURCES.get(("", parameter.name))) is not None:
        yield from source(before)
    elif listed is not None:
        for word in re.split(r",\s*|\s+or\s+", listed[1]):
            if word and "<" not in word:
                yield word.strip(), ""


def _open(before: Sequence[str]) -> Ledger:
    from harness.cli.common import open_trail_here

    named = [before[place + 1] for place, word in enumerate(before[:-1]) if word == "--verdicts"]
    named += [word.partition("=")[2] for word in before if word.startswith("--verdicts=")]
    return open_trail_here(Path(named[-1]).expanduser() if named else None)


def _list_judged(before: Sequence[str]) -> Iterator[Candidate]:
    """Yield the hypotheses with a verdict, and the judged runs, each with its outcome."""
    from harness.ledger.bodies import VerdictBody

    index = _open(before).index()
    judged = [(index.start(entry.body.run), entry.body.outcome) for entry in index.entries(VerdictBody)]
    yield from {run.hypothesis: f"hypothesis: {outcome}" for run, outcome in judged if run is not None}.items()
    yield from {run.name: f"run of {run.hypothesis}: {outcome}" for run, outcome in judged if run is not None}.items()


def _list_for_paper(before: Sequence[str]) -> Iterator[Candidate]:
    """Yield what a paper may be of, without what it is of already; every registration where a form is asked for."""
    asked = any(word.partition("=")[0] == "--form" for word in before)
    found = _list_known(before) if asked else _list_judged(before)
    return (one for one in found if one[0] not in before and not (asked and one[1].startswith("run ")))


def _list_paper_forms(_: Sequence[str]) -> Iterator[Candidate]:
    from harness.paper import FORMS

    return ((form, "questions of a registration") for form in FORMS)


def _list_link_forms(_: Sequence[str]) -> Iterator[Candidate]:
    from harness.programs.linked import list_forms

    return ((form, "") for form in list_forms())


def _list_arms(before: Sequence[str]) -> Iterator[Candidate]:
    """Yield the arms of the hypothesis, or of the run's, that was named before."""
    from harness import ledger
    from harness.pipeline.missing_files import read_form

    trail = _open(before)
    named = [one for one, _ in _list_judged(before) if one in before]
    for hypothesis in dict.fromkeys(ledger.find_judged(trail, name).hypothesis for name in named):
        form = read_form(trail, tuple(trail.index().fixing(hypothesis)))
        for name, arm in () if form is None else form.arms.items():
            yield name, arm.label


def _list_compiling(_: Sequence[str]) -> Iterator[Candidate]:
    return ((choice, "") for choice in ("auto", "on", "off"))


def _list_judged_runs(before: Sequence[str]) -> Iterator[Candidate]:
    return (one for one in _list_judged(before) if one[1].startswith("run "))


def _list_known(before: Sequence[str]) -> Iterator[Candidate]:
    """Yield every hypothesis of the trail, judged or not, and the judged runs."""
    judged = dict(_list_judged(before))
    for name in _open(before).index().hypotheses:
        judged.setdefault(name, "hypothesis: no verdict yet")
    yield from judged.items()


def _list_shown(before: Sequence[str]) -> Iterator[Candidate]:
    """Yield the same, and explorations."""
    from harness.ledger import list_explorations, name_run
    from harness.wording import WATERMARK

    yield from _list_known(before)
    for one in list_explorations(_open(before)):
        yield name_run(one.digest), f"exploration of {one.body.hypothesis}: {WATERMARK}"


def _list_earlier(before: Sequence[str]) -> Iterator[Candidate]:
    """Yield what a standard deviation can be taken from: hypotheses, runs and pilots."""
    from harness.ledger import name_pilot
    from harness.ledger.prior_data_bodies import PilotBody

    yield from _list_known(before)
    for pilot in _open(before).index().entries(PilotBody):
        yield name_pilot(pilot.digest), f"pilot of {pilot.body.hypothesis}"


def _list_open_attempts(before: Sequence[str]) -> Iterator[Candidate]:
    from harness import ledger

    trail = _open(before)
    for hypothesis in trail.index().hypotheses:
        for attempt in ledger.list_open_attempts(trail, hypothesis):
            yield attempt.name, f"open attempt at {hypothesis}"


def _list_suppositions(before: Sequence[str]) -> Iterator[Candidate]:
    """Yield ``hypothesis=outcome`` for every outcome of every registered hypothesis."""
    from harness.pipeline.missing_files import read_form

    trail = _open(before)
    for hypothesis in trail.index().hypotheses:
        form = read_form(trail, tuple(trail.index().fixing(hypothesis)))
        for outcome in () if form is None else form.implications:
            yield f"{hypothesis}={outcome}", ""


def _list_formats(_: Sequence[str]) -> Iterator[Candidate]:
    from harness.exporters import find_exporter, list_formats

    return ((form, find_exporter(form).about) for form in list_formats())


def _list_names(_: Sequence[str]) -> Iterator[Candidate]:
    from harness import spec

    return ((name, ", ".join(kinds)) for name, kinds in spec.list_names().items())


def _list_places(_: Sequence[str]) -> Iterator[Candidate]:
    """Yield the places to train at that the project's settings describe."""
    from harness.cli.common import find_project_here
    from harness.pipeline.places import KIND
    from harness.pipeline.roots import find_places

    places = find_places(find_project_here().root)[1]
    return ((name, f"place of kind {table.get(KIND, '?')}") for name, table in sorted(places.items()))


def _list_plugins(family: str) -> Callable[[Sequence[str]], Iterator[Candidate]]:
    def find(_: Sequence[str]) -> Iterator[Candidate]:
        from harness.plugins.registry import find_members

        return ((name, "") for name in find_members(family))

    return find


def _list_shells(_: Sequence[str]) -> Iterator[Candidate]:
    return ((shell, "") for shell in SCRIPTS)


SOURCES: dict[tuple[str, str], Callable[[Sequence[str]], Iterator[Candidate]]] = {
    ("show", "name"): _list_shown,
    **{(verb, "name"): _list_judged for verb in ("reverdict", "replicate", "measure", "export")},
    ("compare", "first"): _list_judged,
    ("compare", "second"): _list_judged,
    ("paper", "names"): _list_for_paper,
    ("paper", "form"): _list_paper_forms,
    **{(verb, "form"): _list_link_forms for verb in ("link", "explore")},
    ("measure", "arm"): _list_arms,
    ("", "compile_programs"): _list_compiling,
    ("close", "run"): _list_open_attempts,
    ("audit", "rerun"): _list_judged_runs,
    ("power", "sd_from"): _list_earlier,
    ("claims", "suppose"): _list_suppositions,
    ("export", "form"): _list_formats,
    ("explain", "name"): _list_names,
    ("completion", "shell"): _list_shells,
    ("", "on"): _list_places,
    ("reverdict", "criterion"): _list_plugins("criteria"),
    ("measure", "metric"): _list_plugins("metrics"),
    **{("new", name): _list_plugins(family) for name, family in FAMILY_OF.items()},
}
"""Verb and parameter → what finds its values."""
