"""New hypothesis files whose arms are trained by a program."""

from __future__ import annotations

import shlex
import textwrap

from harness.errors import UsageError
from harness.records.bands import write_shortest
from harness.records.program import OWN_PLACEHOLDERS, Program
from harness.spec.new import Answers, finish_draft
from harness.spec.scalars import write_scalar

TEMPLATE = """\
schema_version: 1
id: {id}
title: {title}
question: {question}

prediction:
  outcome: higher  # one of the outcomes below
  why: <why you expect this outcome>
prior_data_seen:
  level: none  # none, exists_unseen, summaries_seen or analysed; all but none need what: …

program:  # trains and measures one replica; harness explain program.command names the placeholders
  command: {command}
  code: {{git: [.]}}  # what git has of these folders and files is pinned, and copied for every replica
  lock: none  # the file that names the versions of its packages, such as uv.lock; none: nothing does
  timeout: 1 h
  # inputs: {{corpus: {{path: data/corpus.bin, sha256: …}}}}  # files that git doesn't have
  # again: {{when: [preempted], times: 2}}  # its own failures are never repeated
  # deterministic: true  # the same seed gives the same results to the byte

metrics:  # what it measures, by the names in its results
  {metric}: {{bounds: [0, 1]}}  # unit, label, resolution, layers, worst, better and log too
results: {{form: json, file: metrics.json}}  # below {{out}}: {{"{metric}": 0.93}}; jsonl and csv too

arms:  # they differ in the values of the command's placeholders
  treatment:
    label: Treatment
    parameters: {{{treatment}}}
  baseline:
    label: Baseline
    parameters: {{{baseline}}}

seeds:  # repetitions, shared by all arms
  count: {seeds}

estimands:
  margin: {{metric: {metric}, contrast: treatment - baseline, unit: pp}}

decisions:
  margin:
    estimand: margin
    criterion: {{name: t}}
    bands:  # in percentage points; [ and ] include a boundary, ( and ) leave it out
      lower: "(-inf, -{margin})"
      similar: "[-{margin}, {margin}]"
      higher: "({margin}, inf)"

exclusions: {{diverged: invalid, failed: invalid}}

implications:  # what each outcome means, written before the data; claims.yaml lists claims that it may move
  lower:
    says: <what it means if the treatment is lower by more than {margin}>
  similar:
    says: <what it means if treatment and baseline differ by at most {margin}>
  higher:
    says: <what it means if the treatment is higher by more than {margin}>
  inconclusive:
    says: These seeds don't tell the bands apart. Nothing is concluded.
  invalid:
    says: A seed failed or diverged, or seeds were not applied. Nothing can be said.
"""


def write_program_draft(answers: Answers, command: str, schema: str | None = None) -> str:
    """Return the commented text of a new file for a command as one would type it; its placeholders become parameters.

    Raises:
        UsageError: The command is not one, or the answers do not make a valid hypothesis; all reasons are given.
    """
    try:
        parts = tuple(shlex.split(command))
        program = Program(command=parts, lock="none", timeout="1 h")
    except ValueError as error:
        remedy = "quote it as a shell would want it: --program 'python train.py --seed {seed}'"
        raise UsageError(f"{command!r} is not a command: {error}", where="--program", remedy=remedy) from error
    own = [name for name in program.list_placeholders() if name not in OWN_PLACEHOLDERS]
    values = {
        arm: ", ".join(f"{name}: {number}" for name in own) for arm, number in (("treatment", 1), ("baseline", 0))
    }
    text = TEMPLATE.format(
        id=write_scalar(answers.id),
        title=write_scalar(answers.title),
        question=write_scalar(answers.question),
        command=f"[{', '.join(_quote(part) for part in parts)}]",
        metric=answers.metric,
        margin=write_shortest(answers.margin),
        seeds=answers.seeds,
        **values,
    )
    return finish_draft(textwrap.dedent(text), schema, answers.id)


def _quote(part: str) -> str:
    plain = part.replace("-", "").replace(".", "").replace("_", "").replace("/", "")
    return part if plain.isalpha() and part[0] != "-" else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
