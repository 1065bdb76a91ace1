"""Sentences about the design: looks, tuning, and the combination of decisions."""

from __future__ import annotations

from collections.abc import Iterator

from harness.domain.tuning import count_candidates, describe_values, find_selector
from harness.metrics import parse_metric
from harness.paper.markup import code, foreign, quoted
from harness.records import Combine, Hypothesis
from harness.wording import format_count, join_words


def describe_looks(form: Hypothesis) -> Iterator[str]:
    """Yield the stopping rule."""
    looks, kind = form.looks, form.stopping.kind
    if kind == "fixed":
        yield "All seeds are trained and then judged once; there is no interim analysis."
    elif kind == "looks":
        yield (
            f"The design is group-sequential: the seeds so far are judged after {join_words([str(n) for n in looks])} "
            f"seeds, each time at α/{len(looks)} (Bonferroni), and no more are trained once an outcome is reached."
        )
    else:
        yield (
            f"The seeds so far are judged up to {format_count(len(looks), 'time')}, after {looks[0]} seeds at the "
            f"earliest and {looks[-1]} at the latest, by a test whose error rate holds at all numbers of seeds at "
            "once; "
            "no more are trained once an outcome is reached."
        )


def describe_tuning(form: Hypothesis) -> Iterator[str]:
    """Yield how the settings of arms are chosen; nothing if the file gives all of them."""
    tuning = form.tuning
    if tuning is None:
        return
    metric = parse_metric(find_selector(form))
    yield (
        f"Before any seed that decides is trained, settings are chosen by {foreign(metric.label)} "
        f"({metric.better or 'higher'} is better) at the last epoch: every candidate is trained with "
        f"{format_count(tuning.seeds, 'seed')} that serve only this choice, and the one with the best mean is taken; "
        "its settings replace those that all arms share."
    )
    for name, space in tuning.space.items():
        label = foreign(form.arms[name].label) if name in form.arms else code(name)
        count = format_count(count_candidates(tuning, name), "candidate")
        ranges = [f"{code(path)}: {foreign(describe_values(values))}" for path, values in space.items()]
        yield f"{label} has {count} ({'; '.join(ranges)})."
    if tuning.unequal is not None:
        yield f"Compared arms have unequal numbers of candidates, for this reason: {foreign(tuning.unequal)}"


def describe_combination(form: Hypothesis) -> Iterator[str]:
    """Yield how several decisions give one outcome."""
    rule = form.combine
    if rule is None:
        return
    if rule.table is not None:
        yield f"Together, the decisions give the outcome of the first row that fits: {'; '.join(_list_rows(rule))}."
        named = {decision for row in rule.table for decision in row.when}
        if len(named) > 1:
            yield f"Each decision is made at α/{len(named)} (Bonferroni)."
        return
    assert rule.holds is not None, "all and any have it"
    assert rule.outcome is not None
    assert rule.otherwise is not None
    held = [
        f"{code(name)} falls into {join_words([quoted(band) for band in bands], 'or')}"
        for name, bands in rule.holds.items()
    ]
    yield (
        f"Together, the outcome is {quoted(rule.outcome)} if "
        f"{join_words(held, 'and' if rule.rule == 'all' else 'or')}, and {quoted(rule.otherwise)} otherwise."
    )


def _list_rows(rule: Combine) -> Iterator[str]:
    for row in rule.table or ():
        when = [f"{quoted(band)} on {code(name)}" for name, band in row.when.items()]
        yield f"{quoted(row.outcome)} for {join_words(when)}" if when else f"otherwise {quoted(row.outcome)}"
