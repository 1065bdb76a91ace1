"""The answers of docs/results.md from the trail, one per question: ``python docs/results.py`` prints them all.

Nothing is concluded here. What is said of a question is what its registered file says of the outcome that the ledger
holds, with the numbers of its verdict.json; the adjusted p values are those of ``harness list --family``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import spec
from harness.ledger import Ledger
from harness.pipeline.families import Row, read_families
from harness.records import Hypothesis
from harness.wording import format_count, format_p, join_words, typeset

FAMILY = "field-claims"
# File of each question, the most important first.
QUESTIONS = (
    "stream_explosion",
    "mode2_boundary",
    "first_block_alignment",
    "fa_depth_credit",
    "fa_credit_healthy",
    "deep_blocks_harm",
    "harm_at_best_rates",
    "scale_without_direction",
    "direction_by_strength",
    "own_feedback",
    "alignment_at_floor",
    "terminal_norm_floor",
    "skip_connections",
    "cosine_ranks_methods",
    "cosine_ranks_healthy",
    "correlation_or_cosine",
    "kolen_pollack_decay",
    "targets_suffice",
    "fa_dfa_optimizers",
    "fashion_parity",
)
BEGIN, END = "<!-- BEGIN answers: python docs/results.py --write -->", "<!-- END answers -->"


@dataclass(frozen=True)
class Question:
    """A question, with what the trail says of it."""

    root: Path
    """The project's folder."""
    loaded: spec.Loaded
    """The question's file, read."""
    row: Row | None
    """The question's line in its family; None if it isn't registered yet."""

    @property
    def hypothesis(self) -> Hypothesis:
        """The file's content."""
        return self.loaded.hypothesis

    @cached_property
    def folder(self) -> Path | None:
        """Folder of the run whose verdict counts; None without one."""
        verdict = self.row.verdict if self.row else None
        return self.root / "verdicts" / self.hypothesis.id / verdict.run if verdict else None

    @cached_property
    def verdict(self) -> dict[str, Any]:
        """The run's verdict.json."""
        assert self.folder is not None
        content: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text())
        return content

    @property
    def results(self) -> dict[str, Any]:
        """The run's results.json."""
        assert self.folder is not None
        content: dict[str, Any] = json.loads((self.folder / "results.json").read_text())
        return content

    @property
    def seconds(self) -> float:
        """Seconds that the run trained for, on its device; of an interrupted run, those since it last went on."""
        return float(next(iter(self.verdict["provenance"]["durations"].values())))

    @property
    def interrupted(self) -> bool:
        """True if it trained for longer than ``seconds`` says."""
        return "training" not in self.verdict["provenance"]["durations"]


def list_questions(root: Path) -> list[Question]:
    """Return every question of a project in the report's order, run or not."""
    loaded = [spec.load(root / f"hypotheses/{name}.yaml") for name in QUESTIONS]
    families = read_families(Ledger(root / "verdicts"), loaded)
    rows = {row.hypothesis: row for family in families if family.name == FAMILY for row in family.rows}
    return [Question(root, one, rows.get(one.hypothesis.id)) for one in loaded]


def write_report(page: str, answers: str) -> str:
    """Return the page with the answers between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{answers}\n\n{END}{after}"


def word_answers(questions: list[Question]) -> str:
    """Write the table of all questions and a section for each, as Markdown."""
    return "\n\n".join((_write_table(questions), *_tell_what_is_missing(questions), *map(_word_answer, questions)))


def _write_table(questions: list[Question]) -> str:
    head = "| question | predicted | outcome | p | p, Holm | arms × seeds × epochs | training | results.json |"
    return "\n".join((head, "|" + " -- |" * 8, *map(_write_row, questions)))


def _write_row(question: Question) -> str:
    asked = question.hypothesis
    size = f"{len(asked.arms)} × {asked.seeds.number} × {asked.setup.epochs}"
    if question.row is None or question.folder is None:
        state = "not run" if question.row else "not registered"
        return f"| {asked.id} | {asked.prediction.outcome} | {state} | – | – | {size} | – | – |"
    row, kilobytes = question.row, (question.folder / "results.json").stat().st_size / 1000
    raw = "–" if row.verdict is None or row.verdict.p is None else format_p(row.verdict.p)
    outcome = question.verdict["outcome"]
    return (
        f"| {asked.id} | {asked.prediction.outcome} | {outcome} | {raw} | {format_p(row.adjusted)} | {size} | "
        f"{_format_seconds(question)} | {kilobytes:,.0f} kB |"
    )


def _tell_what_is_missing(questions: list[Question]) -> Iterator[str]:
    missing = [question.hypothesis.id for question in questions if question.folder is None]
    run = [question for question in questions if question.folder is not None]
    if run:
        devices = sorted({question.verdict["provenance"]["device"] for question in run})
        least = "at least " if any(question.interrupted for question in run) else ""
        yield (
            f"{len(run)} of {len(questions)} were run, on {' and '.join(devices)}: "
            f"{least}{sum(question.seconds for question in run):.0f} s of training in all."
        )
    if missing:
        yield f"Not run, so that nothing can be said of them: {', '.join(missing)}."


def _word_answer(question: Question) -> str:
    asked = question.hypothesis
    # The title says what was predicted, which need not have come true: the heading says what came out.
    outcome = "not run" if question.folder is None else question.verdict["outcome"]
    parts = [f"### {asked.id}: {outcome}", f"*{asked.title}?* {asked.question}"]
    if question.folder is None:
        parts.append(f"Not run yet. Predicted: {asked.prediction.outcome}. Known before: {asked.prior_data_seen.what}")
        return "\n\n".join(parts)
    verdict, row = question.verdict, question.row
    assert row is not None
    says = asked.implications[outcome].says if outcome in asked.implications else ""
    as_said = "as predicted" if outcome == asked.prediction.outcome else f"predicted: {asked.prediction.outcome}"
    run = question.folder.relative_to(question.root)
    size = f"{format_count(len(asked.arms), 'arm')}, {asked.seeds.number} seeds, {_format_seconds(question)}"
    parts.append(
        f"**{outcome}** ({as_said}). {says} {verdict['decision']['summary']} After Holm over the family: p "
        f"{format_p(row.adjusted)}. {size} of training ([the whole verdict](../{run}/verdict.md))."
    )
    parts.append("\n".join(_list_numbers(verdict)))
    first = verdict["decision"]["decisions"][0]["name"]
    if (question.folder / f"figures/{first}.svg").exists():
        parts.append(f"![{verdict['estimates'][first]['title']}](../{run}/figures/{first}.svg)")
    parts.append(f"Known before: {asked.prior_data_seen.what}")
    return "\n\n".join(parts)


def _list_numbers(verdict: dict[str, Any]) -> Iterator[str]:
    """List what decided, then what was only looked at: mean over seeds with its 90% interval, in the file's unit."""
    deciding = {part["name"]: part for part in verdict["decision"]["decisions"]}
    for part in deciding.values():
        found = part["estimand"]
        yield f"- {found['title']}: {_format_estimate(found)}; {part['outcome']}"
    for found in verdict["decision"]["exploratory"]:
        if found["name"] not in deciding:
            yield f"- not deciding, {found['title']}: {_format_estimate(found)}"
    for arm, found in ((verdict["decision"].get("search") or {}).get("arms") or {}).items():
        chosen = found["candidates"][found["chosen"]]["values"]
        values = join_words([f"{name} {value:g}" for name, value in sorted(chosen.items())])
        edge = ", at the edge of what was searched, so that a better value may lie beyond" if found["edges"] else ""
        yield typeset(f"- chosen for `{arm}` of {format_count(len(found['candidates']), 'candidate')}: {values}{edge}")


def _format_seconds(question: Question) -> str:
    return f"{'at least ' if question.interrupted else ''}{question.seconds:.0f} s"


def _format_estimate(found: dict[str, Any]) -> str:
    return typeset(_write_estimate(found))


def _write_estimate(found: dict[str, Any]) -> str:
    unit = f" {found['unit']}" if found["unit"] else ""
    if found["mean"] is None:  # of onsets, which may be never
        middle = found["median"]
        return f"median {middle:.4g}{unit}" if isinstance(middle, float | int) else f"median: {middle or 'none'}"
    low, high = found["interval90"] or (None, None)
    ends = "" if low is None else f" (90% {low:.4g} to {high:.4g})"
    return f"{found['mean']:.4g}{unit}{ends}, {found['n']} seeds"
