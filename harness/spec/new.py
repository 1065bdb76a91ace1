"""New hypothesis files, from a few answers or from another file.

A file from answers has placeholders for what only its author can say, and ``harness check`` names each of them. Apart
from these, the check accepts the new file as it stands.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import InvalidHypothesis, UsageError
from harness.plugins.registry import Plugin, find_members
from harness.records import STANDARD_METRICS, Setup
from harness.records.bands import write_shortest
from harness.spec import yaml
from harness.spec.explain import name_member, write_example
from harness.spec.files import parse
from harness.spec.scalars import write_scalar
from harness.wording import format_for_file, join_words, suggest

PROBE = 256


@dataclass(frozen=True)
class Answers:
    """The subject of a new hypothesis: whether one way of training beats another by a margin."""

    id: str
    title: str
    question: str
    dataset: str = "digits"
    model: str = "residual_mlp"
    rule: str = "dfa"
    baseline: str = "bp"
    penalty: str | None = None
    """Penalty of the treatment; by default, none."""
    metric: str = "test_accuracy"
    margin: float = 1.0
    """Smallest difference that matters, in the metric's unit (percentage points for fractions)."""
    criterion: str = "t"
    seeds: int = 10
    beacon: str | None = None
    """Beacon that the seeds are drawn from; by default, none."""


def write_draft(answers: Answers, schema: str | None = None) -> str:
    """Return the commented text of a new file; ``schema`` is the location of its JSON Schema, for editors.

    Raises:
        UsageError: An answer names no plug-in, or the answers do not make a valid hypothesis; all reasons are given.
    """
    chosen = {
        family: _choose(family, name)
        for family, name in (
            ("datasets", answers.dataset),
            ("models", answers.model),
            ("metrics", answers.metric),
            ("criteria", answers.criterion),
        )
    }
    rules = _choose("rules", answers.rule), _choose("rules", answers.baseline)
    penalty = f"\n    penalty: {write_example(_choose('penalties', answers.penalty))}" if answers.penalty else ""
    metric, targets = chosen["metrics"], getattr(chosen["criteria"], "targets", "mean")
    share = metric.bounds[0] >= 0 and metric.bounds[1] <= 1  # type: ignore[attr-defined]
    details = [
        "layer: 1" if metric.layered else "",  # type: ignore[attr-defined]
        "samples: mean" if metric.per_sample else "",  # type: ignore[attr-defined]
        "unit: pp" if share else "",
        "pairing: unpaired" if getattr(chosen["criteria"], "unpaired", False) else "",
        f"seeds: {targets}" if targets != "mean" else "",
    ]
    if not 0 < answers.margin < math.inf:
        raise UsageError(
            f"{format_for_file(answers.margin)} is not a valid margin",
            where="--margin",
            remedy="give the smallest difference that matters, a number above 0",
        )
    margin = write_shortest(answers.margin)
    entry = write_example(metric) if _needs_parameters(metric) else answers.metric
    text = TEMPLATE.format(
        id=write_scalar(answers.id),
        title=write_scalar(answers.title),
        question=write_scalar(answers.question),
        dataset=write_example(chosen["datasets"]) + _set_apart(metric),
        model=write_example(chosen["models"]),
        metrics=_list_metrics(entry),
        probe=min(PROBE, chosen["datasets"].test_count),  # type: ignore[attr-defined]
        precision=Setup.model_fields["precision"].default,
        rule=write_example(rules[0]),
        baseline=write_example(rules[1]),
        penalty=penalty,
        seeds=answers.seeds,
        origin=ORIGINS[answers.beacon is not None],
        beacon=_write_beacon(answers.beacon) if answers.beacon else "",
        metric=entry,
        named=answers.metric,
        details="".join(f", {detail}" for detail in details if detail),
        criterion=write_example(chosen["criteria"]),
        margin=margin,
        **_name_sides(answers.metric, getattr(metric, "better", None)),
        unit="percentage points" if share else "the metric's unit",
    )
    return finish_draft(text, schema, answers.id)


def _name_sides(metric: str, better: str | None) -> dict[str, str]:
    """Return what stands for the bands on both sides of similar: a lower value may be the better one, or neither is."""
    below, above = SIDES[better]
    return {
        "below": below,
        "above": above,
        "wanted": below if better == "lower" else above,
        "other": above if better == "lower" else below,
        "direction": f" ({better} is better)" if better else "",
        "treatment": "the treatment" if better else f"the treatment's {metric}",
        "reference": "the baseline" if better else "the baseline's",
    }


def _needs_parameters(kind: type[Plugin]) -> bool:
    return any(field.is_required() for key, field in kind.model_fields.items() if key != "name")


def _set_apart(metric: type[Plugin]) -> str:
    """Return the lines of the setup that set a validation split apart, if the metric needs one."""
    return "\n  validation: {share: 0.1}" if getattr(metric, "split", None) == "validation" else ""


def _list_metrics(metric: str) -> str:
    """Return the key that has a metric measured; nothing if it is measured unasked."""
    return "" if metric in STANDARD_METRICS else f", metrics: [{', '.join((*STANDARD_METRICS, metric))}]"


def copy_draft(raw: bytes, name: str, new_id: str, schema: str | None = None, results: Sequence[str] = ()) -> str:
    """Return the text of another file under a new id, which mentions that file as prior data.

    ``results``: what is known of the other hypothesis's results, which its author can't call unseen.

    Raises:
        UsageError: The file's layout can't be copied, or the copy is not valid at its new place.
    """
    root = yaml.read(raw, name).root
    entries = root.items() if root is not None else {}
    text = raw.decode("utf-8")
    lines = re.split(r"(?<=\n)", text.replace("\r\n", "\n"))
    starts = sorted(node.key_at for node in entries.values())
    if not {"id", "prior_data_seen"} <= entries.keys() or any(column != 1 for _, column in starts):
        remedy = "write one key per line, beginning in the first column, and correct what harness check finds"
        raise UsageError("this file's layout can't be copied", where=name, remedy=remedy)
    old_id, seen = str(entries["id"].value), entries["prior_data_seen"]
    level = seen.get("level")
    what = seen.get("what")
    before = f" Before that: {str(what.value).strip()}" if what is not None and what.value else ""
    kept = str(level.value) if level is not None and level.value != "none" else "exists_unseen"
    kept = "analysed" if results else kept
    known = f" Of its results, the trail holds {join_words(results)}." if results else ""
    told = _fold(f"The hypothesis {old_id}, from which this file was copied.{known}{before}")
    replaced = {
        "id": f"id: {write_scalar(new_id)}\n",
        "prior_data_seen": f"prior_data_seen:\n  level: {kept}\n  what: >-\n{told}\n",
    }
    after = {
        line: following for (line, _), (following, _) in zip(starts, [*starts[1:], (len(lines) + 1, 1)], strict=True)
    }
    for key in sorted(replaced, key=lambda key: -entries[key].key_at[0]):
        first = entries[key].key_at[0]
        section = lines[first - 1 : after[first] - 1]
        tail = [line for line in section if not line.strip() or line.startswith("#")]  # comments before the next key
        lines[first - 1 : after[first] - 1] = [replaced[key], *tail]
    note = f"# Copied from {old_id}: change title, question and what else differs; then remove this line.\n"
    return _add_head(note + "".join(line for line in lines if not line.startswith(MODELINE)), schema)


MODELINE = "# yaml-language-server:"


def _fold(text: str) -> str:
    """Return the lines of a folded block scalar, indented by four spaces; YAML joins them again."""
    lines = textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)
    return textwrap.indent("\n".join(lines), "    ")


def _add_head(text: str, schema: str | None) -> str:
    return f"{MODELINE} $schema={schema}\n{text}" if schema is not None else text


def finish_draft(text: str, schema: str | None, name: str) -> str:
    """Return a draft under the head of a new file.

    Raises:
        UsageError: It is no valid hypothesis.
    """
    return _require_valid(_add_head(text, schema), name)


def _require_valid(text: str, name: str) -> str:
    try:
        parse(text.encode(), b"", name)
    except InvalidHypothesis as error:
        reasons = "; ".join(finding.message for finding in error.findings)
        raise UsageError(
            f"these answers do not make a valid hypothesis: {reasons}", remedy="give other options"
        ) from error
    return text


def _choose(family: str, name: str) -> type[Plugin]:
    known = find_members(family)
    if name not in known:
        raise UsageError(
            f"no {name_member(family)} is called {name!r}{suggest(name, known)}", remedy=f"known: {', '.join(known)}"
        )
    return known[name]


def _write_beacon(name: str) -> str:
    """Return the line of a beacon; a parameter that it needs is an example, which the author has to replace."""
    told = write_example(_choose("beacons", name))
    return f"\n  beacon: {told}{'' if told == write_scalar({'name': name}) else '  # an example: write your own'}"


SIDES = {"higher": ("worse", "better"), "lower": ("better", "worse"), None: ("lower", "higher")}
"""Direction in which a metric is better → names of the bands below and above similar."""

ORIGINS = {
    False: "their numbers follow from the registration, whose author could have chosen them",
    True: "their numbers are drawn from the beacon's first round after the registration",
}
"""True if a beacon draws the seeds → what a new file says of them."""

TEMPLATE = """\
# A pre-registration. Everything here is fixed before any data are seen; comments may change at any time.
# Only you can fill in what stands in <angle brackets>: harness check names each until you have.
#   harness check            what is wrong with it, with places
#   harness explain NAME     what a name or option means, for example: harness explain {named}
#   harness plan FILE        what a run would cost
schema_version: 1
id: {id}
title: {title}
question: {question}
prediction:
  outcome: {wanted}  # one of the outcomes below
  why: <why you expect this outcome>
prior_data_seen:
  level: none  # none, exists_unseen, summaries_seen or analysed; all but none need what: …

setup:  # how all arms are trained unless they override it
  dataset: {dataset}
  model: {model}
  optimizer: {{name: adamw, lr: 1.0e-3}}
  epochs: 20
  batch_size: 64
  precision: {precision}
  evaluation: {{probe_samples: {probe}, every_epochs: 5{metrics}}}

arms:  # the ways of training that are compared; an arm may override any part of the setup
  treatment:
    label: Treatment
    rule: {rule}{penalty}
  baseline:
    label: Baseline
    rule: {baseline}

seeds:  # repetitions, shared by all arms; {origin}
  count: {seeds}{beacon}
  # justification: Say why this many; harness power shows how much they can detect.

estimands:  # the numbers that decide: a metric of one arm, or of a contrast of two, paired by seed
  margin: {{metric: {metric}, contrast: treatment - baseline{details}}}

# guards:  # conditions without which the comparison means nothing
#   learns: {{estimand: accuracy, above: 0.5, otherwise: The baseline did not learn.}}

decisions:
  margin:
    estimand: margin
    criterion: {criterion}
    bands:  # in {unit}{direction}; [ and ] include a boundary, ( and ) leave it out
      {below}: "(-inf, -{margin})"
      similar: "[-{margin}, {margin}]"
      {above}: "({margin}, inf)"

exclusions: {{diverged: invalid}}  # or worst_case, exclude
stopping: {{kind: fixed}}

implications:  # what each outcome means, written before the data; claims.yaml lists claims that it may move
  {wanted}:
    says: <what it means if {treatment} is {wanted} than {reference} by more than {margin}>
  similar:
    says: <what it means if treatment and baseline differ by at most {margin}>
  {other}:
    says: <what it means if {treatment} is {other} than {reference} by more than {margin}>
  inconclusive:
    says: These seeds don't tell the bands apart. Nothing is concluded.
  invalid:
    says: A seed diverged, or seeds were not applied. Nothing can be said.
"""
