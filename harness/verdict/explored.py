"""The report on an exploration, in Markdown: what earlier results would come to, under a watermark that can't be lost.

It is no verdict's page and has no template: nothing registered stands behind it, and much of a page would say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.records import Decision, Hypothesis, Measurements
from harness.records.linked import LinkedRuns
from harness.verdict import tables
from harness.verdict.bands import find_estimate, write_strip
from harness.verdict.exploratory import write_row
from harness.verdict.tables import Table
from harness.verdict.text import Markdown, escape, format_code, format_exact, format_verbatim, join_words, typeset
from harness.wording import WATERMARK, format_count

LISTED = 50
"""Runs that don't count which a report names."""


def write_report(hypothesis: Hypothesis, measurements: Measurements, decision: Decision, told: LinkedRuns) -> str:
    """Write the report: the same inputs give the same text.

    ``hypothesis``: with the seeds that the runs have; ``told``: the account of all runs.
    """
    parts = [
        _write_head(hypothesis, decision),
        _write_decisions(hypothesis, decision),
        _write_guards(decision),
        _write_tables(hypothesis, measurements, decision),
        _write_runs(hypothesis, told),
        [f"*{WATERMARK.upper()}. {_warn()}*"],
    ]
    return "\n\n".join(line for part in parts for line in part) + "\n"


def suppose(text: str) -> str:
    """Return a sentence on a decision as one on what would be decided."""
    return re.sub(r"\b([Tt]he|[Ss]o the) outcome is\b", r"\1 outcome would be", text)


def _warn() -> str:
    return (
        "These results existed before any registration of this question: whoever wrote the file could have seen them. "
        "They are no attempt, count in no family, and move no claim."
    )


def _write_head(hypothesis: Hypothesis, decision: Decision) -> Iterator[str]:
    yield f"# {WATERMARK.upper()}: {escape(hypothesis.title)}"
    yield (
        f"> **{WATERMARK.upper()}.** {_warn()} A later registration of the same question must declare them as prior "
        "data: `level: analysed`, and this exploration's name under `what`."
    )
    yield escape(hypothesis.question)
    yield (
        f"By the rules of the file, these results **would be {escape(decision.outcome)}**"
        f" (predicted there: {escape(decision.predicted)}). {escape(suppose(decision.summary))}"
    )


def _write_decisions(hypothesis: Hypothesis, decision: Decision) -> Iterator[str]:
    for part in decision.decisions:
        spec = hypothesis.decisions[part.name]
        estimate = find_estimate(part.estimand, hypothesis.estimands[spec.estimand].seeds)
        yield f"## {escape(part.name)}: exploratory"
        yield f"{escape(part.estimand.title)}."
        yield f"    {format_verbatim(write_strip(part, spec, estimate))}"
        yield "\n".join(f"{number}. {escape(suppose(step))}" for number, step in enumerate(part.steps, 1))
    if decision.combination:
        yield escape(suppose(decision.combination))
    if decision.warnings:
        yield "\n".join(f"- {escape(suppose(line))}" for line in decision.warnings)


def _write_guards(decision: Decision) -> Iterator[str]:
    if decision.guards:
        yield "## Guards: exploratory"
        yield "\n".join(
            f"- {escape(guard.name)}: {escape(guard.estimand.title)} {guard.side} {format_exact(guard.threshold)}, at "
            f"{guard.holding} of {format_count(guard.estimand.n, 'seed')}: {guard.status}"
            for guard in decision.guards
        )


def _write_tables(hypothesis: Hypothesis, measurements: Measurements, decision: Decision) -> Iterator[str]:
    yield "## Arms: exploratory"
    yield _tabulate(tables.tabulate_arms(hypothesis, measurements))
    for table in tables.tabulate_layers(hypothesis, measurements):
        yield f"{escape(table.title)}:"
        yield _tabulate(table)
    if decision.exploratory:
        rows = [list(write_row(one, hypothesis.exploratory.get(one.name))) for one in decision.exploratory]
        yield _tabulate(Table("", ["Estimand", "Estimate", "95% interval", "Seeds"], rows))
    yield "## Seed by seed: exploratory"
    yield _tabulate(tables.tabulate_seeds(measurements, decision))


def _tabulate(table: Table) -> str:
    rows = [[_write_cell(cell) for cell in row] for row in (table.heads, *table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(table.heads), *lines[1:]])


def _write_cell(cell: str) -> str:
    return str(typeset(cell if isinstance(cell, Markdown) else escape(cell)))


def _write_runs(hypothesis: Hypothesis, told: LinkedRuns) -> Iterator[str]:
    labels = {name: arm.label for name, arm in hypothesis.arms.items()}
    yield "## Runs"
    fates = [f"{told.count(fate)} {fate}" for fate in ("counted", "excluded", "rejected") if told.count(fate)]
    files = [
        Markdown(f"{escape(file.name)} ({file.form}, SHA-256 {format_code(file.sha256)})") for file in told.exports
    ]
    yield f"{format_count(len(told.runs), 'run')} told by {join_words(files)}: {', '.join(fates)}."
    missing = [(arm, rest) for arm, _, rest in (one.partition(",") for one in told.missing)]
    others = [one for one in told.runs if one.fate != "counted" or one.why]
    shown = [f"{one.run} of {one.export} is {one.fate}: {one.why}" for one in others[:LISTED]]
    shown += [f"and {len(others) - LISTED} more"] if len(others) > LISTED else []
    shown += [f"not in the file, and different between runs that count: {line}" for line in told.varying]
    shown += [f"no value, counts as failed: {labels.get(arm, arm)},{rest}" for arm, rest in missing]
    if shown:
        yield _list_lines(shown)
    if told.untold:
        yield f"Of {format_count(told.untold, 'run')} nobody says which code it ran."
    yield (
        "Nobody here saw these runs: numbers, seeds and code rest on the word of whoever told them, and what was left "
        "out of the files, or tried before this file was written, nobody can know."
    )


def _list_lines(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)
