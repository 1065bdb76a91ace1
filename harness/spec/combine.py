"""Checks of the combination of decisions: every combination of bands has an outcome, every row is needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from harness.domain.normal_combination import MAX_COMBINATIONS
from harness.records import RESERVED_OUTCOMES, Combine
from harness.spec.draft import Draft
from harness.spec.forms import join_names
from harness.spec.tree import Path, Problem
from harness.wording import suggest

SHOWN = 5


def check_combination(draft: Draft) -> Iterator[Problem]:
    """Yield the problems with ``combine``, or with its absence."""
    combine = draft.combine
    if combine is None:
        if not draft.given("combine") and len(draft.names("decisions")) > 1:
            remedy = "add combine: {rule: all, any or table, …}"
            yield Problem(("decisions",), "several decisions need 'combine' to make one outcome", remedy, on_key=True)
        return
    found = list(_check_references(draft, combine))
    yield from found
    for name in set(combine.outcomes) & set(RESERVED_OUTCOMES):
        yield Problem(("combine",), f"{name!r} is one of harness's own outcomes", "name another outcome", on_key=True)
    if combine.holds is not None:
        if combine.outcome == combine.otherwise:
            yield Problem(("combine", "otherwise"), "outcome and otherwise are the same", "name two outcomes")
        for name in draft.names("decisions"):
            if name not in combine.holds:
                message = f"decision {name!r} is not in holds"
                yield Problem(("combine", "holds"), message, "say which of its bands count as holding", on_key=True)
    if combine.table is not None and not found and len(draft.decisions) == len(draft.names("decisions")):
        yield from _check_coverage(draft, combine)


def _check_references(draft: Draft, combine: Combine) -> Iterator[Problem]:
    named: list[tuple[Path, str, tuple[tuple[Path, str], ...]]] = []
    for decision, bands in (combine.holds or {}).items():
        path: Path = ("combine", "holds", decision)
        if not bands:
            yield Problem(path, f"decision {decision!r} never holds", "name one of its bands")
        named.append((path, decision, tuple(((*path, position), band) for position, band in enumerate(bands))))
    for row, cell in enumerate(combine.table or ()):
        for decision, band in cell.when.items():
            path = ("combine", "table", row, "when", decision)
            named.append((path, decision, ((path, band),)))
    for path, decision, places in named:
        if missing := draft.unknown("decisions", "decision", decision):
            yield Problem(path, missing, on_key=True)
        elif decision in draft.decisions:
            known = list(draft.decisions[decision].bands)
            for at, band in places:
                if band not in known:
                    message = f"decision {decision!r} has no band {band!r}{suggest(band, known)}"
                    yield Problem(at, message, f"its bands: {join_names(known)}")


def _check_coverage(draft: Draft, combine: Combine) -> Iterator[Problem]:
    bands = {name: tuple(decision.bands) for name, decision in draft.decisions.items()}
    size = math.prod(len(names) for names in bands.values())
    if size > MAX_COMBINATIONS:
        message = f"{size:,} combinations of bands are too many for a table"
        yield Problem(("combine", "table"), message, "use fewer decisions or bands", on_key=True)
        return
    rows = combine.table or ()
    used: set[int] = set()
    uncovered: list[str] = []
    for cell in itertools.product(*bands.values()):
        found = dict(zip(bands, cell, strict=True))
        row = next((i for i, r in enumerate(rows) if all(found[key] == band for key, band in r.when.items())), None)
        if row is None:
            uncovered.append("{" + ", ".join(f"{key}: {band}" for key, band in found.items()) + "}")
        else:
            used.add(row)
    if uncovered:
        more = f" and {len(uncovered) - SHOWN} more" if len(uncovered) > SHOWN else ""
        message = f"the table has no row for {', '.join(uncovered[:SHOWN])}{more}"
        yield Problem(("combine", "table"), message, "add rows; a row may leave a decision open", on_key=True)
    for position in range(len(rows)):
        if position not in used:
            message = f"row {position + 1} is never reached: rows above it take all its combinations"
            yield Problem(("combine", "table", position), message, "remove it, or move it up")
