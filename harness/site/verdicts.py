"""Parts of a page about a judged run: figures, and numbers in words, ready for its template."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.pipeline.verdicts import JudgedRun
from harness.records import BandDecision, EstimandResult, GuardResult, Hypothesis
from harness.site.curves import Drawn, draw_curves, draw_key, draw_profiles
from harness.site.strips import draw_decision, draw_guard
from harness.verdict.searches import SearchView, describe_search
from harness.wording import (
    append_unit,
    describe_tree,
    format_count,
    format_exact,
    format_for_file,
    format_level,
    format_number,
    format_p,
    format_p_equals,
    format_together,
    name_target,
    typeset,
    write_possible,
    write_span,
)


@dataclass(frozen=True)
class RunView:
    """A judged run as its page shows it."""

    run: str
    summary: str
    meaning: str
    warnings: tuple[str, ...]
    deviations: tuple[str, ...]
    combination: str | None
    decisions: list[dict[str, Any]]
    guards: list[dict[str, Any]]
    arms: list[dict[str, Any]]
    curves: list[Drawn]
    profiles: list[Drawn]
    search: SearchView | None
    seeds: dict[str, list[Any]]
    exploratory: list[list[str]]
    provenance: list[list[str]]


def describe_run(run: JudgedRun) -> RunView:
    """Describe a judged run for its page."""
    stored, decision = run.stored, run.decision
    hypothesis, measurements = stored.registered.hypothesis, stored.measurements
    implication = hypothesis.implications.get(decision.outcome)
    return RunView(
        run=stored.provenance.run,
        summary=typeset(decision.summary),
        meaning=implication.says if implication is not None else "",
        warnings=tuple(map(typeset, decision.warnings)),
        deviations=stored.provenance.deviations,
        combination=decision.combination,
        decisions=[_describe_decision(hypothesis, part) for part in decision.decisions],
        guards=[_describe_guard(guard) for guard in decision.guards],
        arms=[
            {"index": index, "label": arm.label, "key": draw_key(index)}
            for index, arm in enumerate(hypothesis.arms.values())
        ],
        curves=draw_curves(hypothesis, measurements),
        profiles=draw_profiles(hypothesis, measurements),
        search=_describe_search(run),
        seeds=_tabulate_seeds(run),
        exploratory=[_describe_exploratory(result) for result in decision.exploratory],
        provenance=_tabulate_provenance(run),
    )


def _describe_decision(hypothesis: Hypothesis, part: BandDecision) -> dict[str, Any]:
    spec = hypothesis.decisions[part.name]
    return {
        "name": part.name,
        "outcome": part.outcome,
        "svg": draw_decision(hypothesis, part),
        "summary": name_target(hypothesis.estimands[spec.estimand].summary),
        "level": f"{format_number(100 * part.interval_level)}%",
        "steps": [typeset(step) for step in part.steps],
        "criterion": part.criterion,
        "alpha": format_level(part.alpha),
        "atoms": [
            [typeset(str(atom.interval)), atom.outcome, format_p(atom.p, part.alpha), "yes" if atom.rejected else "no"]
            for atom in part.atoms
        ],
    }


def _describe_guard(guard: GuardResult) -> dict[str, Any]:
    result = guard.estimand
    p = "" if guard.p is None else f" ({guard.test}, {format_p_equals(guard.p, guard.alpha)})"
    told = (
        f"{result.title} must be {guard.side} {append_unit(format_exact(guard.threshold), result.unit)}: "
        f"{guard.holding} of {format_count(len(result.values), 'seed')}{p}."
    )
    told = told if guard.status == "verified" else f"{told} {guard.otherwise}"
    return {"name": guard.name, "status": guard.status, "told": typeset(told), "svg": draw_guard(guard)}


def _describe_search(run: JudgedRun) -> SearchView | None:
    found = describe_search(run.stored.registered.hypothesis, run.stored.search)
    if found is None:
        return None
    arms = [arm._replace(rows=[[typeset(cell) for cell in row] for row in arm.rows]) for arm in found.arms]
    return found._replace(arms=arms)


def _tabulate_seeds(run: JudgedRun) -> dict[str, list[Any]]:
    """Return the estimands of decisions and guards, seed by seed."""
    decision = run.decision
    results = [part.estimand for part in decision.decisions] + [guard.estimand for guard in decision.guards]
    found = {result.name: result for result in results}
    columns = [_write_seeds(result) for result in found.values()]
    heads = [f"{result.name} ({result.unit})" if result.unit else result.name for result in found.values()]
    rows = [
        [str(seed), *(column.get(index, "–") for column in columns)]
        for index, seed in enumerate(run.stored.measurements.seeds)
    ]
    return {"heads": heads, "rows": rows}


def _write_seeds(result: EstimandResult) -> dict[int, str]:
    finite = [seed.value for seed in result.values if seed.value is not None]
    texts = iter(format_together(finite, never=result.never) if finite else [])
    written = {}
    for seed in result.values:
        if seed.value is None:
            written[seed.seed_index] = seed.note or "not finite"
            continue
        text = typeset(next(texts))
        low, high = seed.between or (seed.value, seed.value)
        if seed.anything:
            text = "both never"
        elif low != high and not (math.isinf(high) and result.never and not result.never[0]):
            text = f"{text} ({typeset(write_possible(low, high, ''))})"
        written[seed.seed_index] = text
    return written


def _describe_exploratory(result: EstimandResult) -> list[str]:
    value = result.median if result.never is not None else result.mean
    if value is None:
        return [result.title, "–", "–", str(result.n)]
    ends = result.interval95 if result.never is None else None
    texts = [typeset(text) for text in format_together([value, *(ends or ())], never=result.never)]
    interval = write_span(texts[1], texts[2], result.unit) if ends is not None else "–"
    return [result.title, append_unit(texts[0], result.unit), interval, str(result.n)]


def _tabulate_provenance(run: JudgedRun) -> list[list[str]]:
    found, measurements = run.stored.provenance, run.stored.measurements
    tree = describe_tree(found.commit, dirty=found.dirty, reason=found.no_commit)
    data: Sequence[str] = [
        f"{name}: {record.origin}{'' if record.canonical else ', not the official files'}"
        for name, record in measurements.data.items()
    ]
    rows = {
        "Run": found.run,
        "Finished": found.finished,
        "Device": found.device,
        "Data": "; ".join(data),
        "harness": found.harness,
        "The project": f"{f'commit {found.commit[:12]}' if found.commit else 'no commit'}, {tree}",
        "Python, platform": f"{found.python}, {found.platform}",
        "Command": found.command,
        "Resumed": f"{format_for_file(found.resumed)} times" if found.resumed else "",
        "Files": f"{run.stored.registered.hypothesis.id}/{found.run}/ of the trail",
    }
    return [[name, text] for name, text in rows.items() if text]
