"""Sentences about arms that a program trains and measures in harness's place: what is fixed of it, and what is not."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.paper.markup import code, foreign
from harness.records import Arm, Hypothesis
from harness.records.program import MetricSpec, write_parameter
from harness.wording import append_unit, format_count, format_exact, join_words


def describe_program(form: Hypothesis) -> Iterator[str]:
    """Yield sentences about the program: its command, its code and data, and its results; nothing without a program."""
    program, results = form.program, form.results
    if program is None or results is None:
        return
    arms = [foreign(arm.label) for arm in form.programmed.values()]
    yield (
        f"{join_words(arms)} {'is' if len(arms) == 1 else 'are'} trained and measured by a program, which harness "
        "neither sees into nor describes: its model, data and procedure are for the author to describe."
    )
    yield f"For every seed its command is {code(' '.join(program.command))}."
    held = join_words([code(path) for path in program.code.git])
    lock = f"the lock file {code(program.lock)}" if program.has_lock else "no lock file"
    yield f"Its code is what git has under {held}, by the objects' digests; {lock} pins the versions of its packages."
    if program.image is not None:
        yield f"It runs in the image {code(program.image)}."
    if program.inputs:
        pinned = [f"{code(one.path)} (SHA-256 {code(one.sha256)})" for one in program.inputs.values()]
        yield f"Of the files that it reads, these are pinned: {join_words(pinned)}."
    yield f"A replica may take {program.timeout} and write {program.size}, and has failed beyond that."
    if program.again is not None:
        ends = join_words([foreign(when) for when in program.again.when], "or")
        yield f"A replica that is {ends} is run again, at most {format_count(program.again.times, 'time')}."
    when = "once" if results.epochs == 1 else f"after every epoch up to {results.epochs:,}"
    if results.every_epochs != 1:
        when = f"after epoch 1, after every {results.every_epochs} epochs, and after epoch {results.epochs:,}"
    measured = [_describe_metric(name, spec) for name, spec in form.metrics.items()]
    yield f"It measures by itself, {when}, and writes to a file: {'; '.join(measured)}."


def _describe_metric(name: str, spec: MetricSpec) -> str:
    """Return a metric as far as the file declares it: ``Absolute error (absolute_error, from 0 to 1.8)``."""
    if spec.built_in:
        return f"{code(name)}, which stands for harness's own metric of that name"
    low, high = spec.bounds
    named = (("at least", low), ("at most", high))
    ends = [f"{word} {format_exact(end)}" for word, end in named if math.isfinite(end)]
    told = [code(name), *([append_unit(" and ".join(ends), foreign(spec.unit))] if ends else [])]
    told += [f"{spec.better} is better"] if spec.better is not None else []
    return f"{foreign(spec.label or name.replace('_', ' ').capitalize())} ({', '.join(told)})"


def describe_arm(name: str, arm: Arm) -> str:
    """Return a sentence on an arm of a program: what it is given."""
    given = [f"{code(one)} {foreign(write_parameter(value))}" for one, value in (arm.parameters or {}).items()]
    told = f"with {join_words(given)}" if given else "without parameters"
    return f"{foreign(arm.label)} ({code(name)}) is the program {told}."


def tell_failed(form: Hypothesis) -> str:
    """Return what becomes of seeds at which the program failed; nothing without a program."""
    if form.program is None:
        return ""
    told = "makes the outcome invalid"
    if form.exclusions.failed == "worst_case":
        told = "counts with the metric's worst value"
    return f"A seed at which the program fails in an arm that is compared {told}."
