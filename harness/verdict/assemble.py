"""Assembly of a verdict's files from records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.main import IncEx

from harness.domain.costs import describe_costs
from harness.domain.selection import note_used
from harness.domain.templates import VERSION, default_templates
from harness.metrics import parse_metric
from harness.records import (
    BandDecision,
    Consequences,
    Decision,
    Estimand,
    EstimandResult,
    Hypothesis,
    Measurements,
    Provenance,
    Registered,
)
from harness.records.base import write_canonical
from harness.verdict import series, tables
from harness.verdict.bands import draw_bands, find_estimate, write_strip
from harness.verdict.canvas import CannotDraw, Drawing
from harness.verdict.exploratory import find_shown, write_between, write_notes, write_row
from harness.verdict.ground import tabulate_ground
from harness.verdict.page import fill
from harness.verdict.profiles import draw_curves, draw_layers
from harness.verdict.programs import describe_program, tabulate_program
from harness.verdict.search_figure import draw_search
from harness.verdict.searches import describe_search
from harness.verdict.text import Markdown, append_unit, escape, format_together, typeset, write_span
from harness.verdict.worded import FORM_OF_TODAY
from harness.wording import RATIO_UNIT, describe_as_log, describe_without_log

CURVES, LAYERS, SEARCH = "learning-curves", "-layers", "search-of-settings"
NOT_IN_FILES = re.compile(r"[^A-Za-z0-9_.]+")
"""Characters that a metric's key may have and a figure's name may not."""
LATER: Mapping[int, Mapping[str, Mapping[str, IncEx | bool]]] = {
    2: {
        "decision": {"decisions": {"__all__": {"posterior", "effect_size"}}, "looks": True, "exploratory_p": True},
        "provenance": {"amendments": True},
    },
    3: {
        "decision": {"reason": True, "combined": True, "notices": True},
        "provenance": {"words": True},
    },
}
"""Version → fields of verdict.json that it added; a verdict stored before is written again without them."""

NUMBERS = (
    "search", "decisions", "exploratory", "guards", "curves", "profiles", "per_seed", "per_arm", "per_layer",
    "exploratory_notes", "shared_settings", "arm_settings",
)  # fmt: skip
"""Template variables that contain formatted numbers."""


class Picture(NamedTuple):
    """A figure's file and description, for the template."""

    path: Markdown
    alt: str


class DecisionView(NamedTuple):
    """A decision with formatted texts that the template cannot compute."""

    record: BandDecision
    estimate: Markdown | None
    """Estimate with its unit."""
    summary: str
    """Summary over seeds: mean, geometric mean, median, pseudomedian or interquartile mean."""
    interval: Markdown | None
    """Interval at the decision's own level: ``29.2 to 32.0 pp``."""
    strip: str
    figure: Picture | None
    plainly: str | None
    """Meaning of an estimate in log10 without its logarithm: ``a ratio of 3.2 (2.9 to 3.6)``; of a ratio with it."""
    effect: Markdown | None
    """Standardised effect: ``-3.34, 95% interval -4.94 to -1.71``."""


class Form(NamedTuple):
    """The form in which a verdict is written."""

    templates: Path | Mapping[str, bytes] | None = None
    """Folder of templates, or templates kept elsewhere (name → bytes); None for the packaged ones."""
    version: int = VERSION
    """Form of verdict.json; an earlier one writes a stored verdict again as it was."""
    figures: bool = True
    """False to name the figures on the page without drawing them."""


def render(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    consequences: Mapping[str, Consequences],
    form: Form = Form(),  # noqa: B008  # immutable
) -> dict[str, bytes]:
    """Return all files of a verdict: name below the run's folder → bytes. The same inputs give the same bytes.

    The page omits figures that ``provenance`` says could not be drawn, and names them.

    ``consequences`` has an entry for every outcome (``harness.claims.find_consequences``). A pilot's verdict shows
    estimates under a watermark and names no outcome anywhere.

    Raises:
        CannotDraw: a figure could not be drawn here.
        HarnessError: a template is missing or does not fit.
    """
    before = form.version < FORM_OF_TODAY
    drawings = list_drawings(registered.hypothesis, measurements, decision)
    files = {name: drawing.svg(before=before) for name, drawing in drawings.items()} if form.figures else {}
    shown = {
        name: Picture(Markdown(name), drawing.told_before if before else drawing.alt)
        for name, drawing in drawings.items()
        if name not in provenance.undrawn
    }
    context = _build_context(registered, measurements, decision, provenance, consequences, shown, before=before)
    templates = default_templates() if form.templates is None else form.templates
    files["verdict.md"] = fill("verdict.md.j2", context, templates, before=before).encode()
    json = _as_json(registered, measurements, decision, provenance, consequences, form.version)
    files["verdict.json"] = json.encode()
    return dict(sorted(files.items()))


def _build_context(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    consequences: Mapping[str, Consequences],
    shown: Mapping[str, Picture],
    *,
    before: bool,
) -> dict[str, Any]:
    """Return the template's variables, which templates/README.md lists; ``before``: for form 1 or 2."""
    hypothesis = registered.hypothesis
    settings = tables.tabulate_settings_before if before else tables.tabulate_settings
    if hypothesis.program is not None:
        settings = partial(tabulate_program, linked=provenance.linked is not None)
    shared, arms = settings(hypothesis, measurements)
    context: dict[str, Any] = {
        "hypothesis": hypothesis,
        "registered": registered,
        "claims": registered.claims.claims,
        "measurements": measurements,
        "decision": decision,
        "decisions": [_build_view(part, hypothesis, shown) for part in decision.decisions],
        "provenance": _note_used_data(provenance, measurements),
        "consequences": dict(consequences),
        "effects": {outcome: tables.describe_effects(moved) for outcome, moved in consequences.items()},
        "exploratory": [_estimate_row(result) for result in decision.exploratory]
        if before
        else [write_row(result, hypothesis.exploratory.get(result.name)) for result in decision.exploratory],
        "exploratory_plainly": [
            _describe_plainly(result, spec, *((result.mean, result.interval95) if before else find_shown(result, spec)))
            for result in decision.exploratory
            for spec in [hypothesis.exploratory.get(result.name)]
        ],
        "exploratory_notes": [] if before else write_notes(decision.exploratory, hypothesis.exploratory),
        "guards": [_guard_row(guard.estimand, guard.threshold) for guard in decision.guards],
        "attempts": tables.count_attempts(attempt.status for attempt in provenance.attempts),
        "search": describe_search(hypothesis, decision.search),
        "search_figure": shown.get(_file(SEARCH)),
        "curves": shown.get(_file(CURVES)),
        "profiles": [picture for name, picture in shown.items() if name.endswith(f"{LAYERS}.svg")],
        "per_seed": tables.tabulate_seeds(measurements, decision),
        "ground": tabulate_ground(hypothesis, measurements, decision),
        "costs": ({hypothesis.arms[arm].label: cost for arm, cost in describe_costs(hypothesis, measurements).items()}),
        "per_arm": tables.tabulate_arms(hypothesis, measurements),
        "per_layer": tables.tabulate_layers(hypothesis, measurements),
        "shared_settings": [*shared, *tables.describe_company(hypothesis.id, provenance)],
        "arm_settings": arms,
        "program": describe_program(hypothesis, measurements, provenance),
        "distinct_weights": len({replica.weights_sha256 for replica in measurements.replicas}),
    }
    if not before:
        context |= {key: typeset(context[key]) for key in NUMBERS}
    return context


def _note_used_data(provenance: Provenance, measurements: Measurements) -> Provenance:
    """Return the provenance with notes on the parts of data sets that arms used; as it is if they used all."""
    used = {name: note_used(record) for name, record in measurements.data.items() if record.used}
    if not used:
        return provenance
    notes = {name: (*used.get(name, ()), *provenance.data_notes.get(name, ())) for name in measurements.data}
    return provenance.model_copy(update={"data_notes": notes})


def _build_view(part: BandDecision, hypothesis: Hypothesis, shown: Mapping[str, Picture]) -> DecisionView:
    spec = hypothesis.decisions[part.name]
    summary = hypothesis.estimands[spec.estimand].seeds
    estimate = find_estimate(part.estimand, summary)
    unit, never = part.estimand.unit, part.estimand.never
    texts = format_together([estimate, *(part.interval or ())], spec.cuts, never) if estimate is not None else []
    return DecisionView(
        record=part,
        estimate=Markdown(append_unit(texts[0], unit) + write_between(part.estimand)) if texts else None,
        summary=hypothesis.estimands[spec.estimand].summary,
        interval=write_span(texts[1], texts[2], unit) if len(texts) == 3 else None,
        strip=write_strip(part, spec, estimate),
        figure=shown.get(_file(part.name)),
        plainly=describe_as_log(estimate, part.interval)
        if estimate is not None and unit == RATIO_UNIT
        else _describe_plainly(part.estimand, hypothesis.estimands[spec.estimand], estimate, part.interval),
        effect=_format_effect(part),
    )


def draw(
    hypothesis: Hypothesis, measurements: Measurements, decision: Decision
) -> tuple[dict[str, bytes], dict[str, CannotDraw]]:
    """Draw a verdict's figures: name below the run's folder → bytes, and → the error for those that cannot be drawn."""
    drawn: dict[str, bytes] = {}
    failed: dict[str, CannotDraw] = {}
    for name, drawing in list_drawings(hypothesis, measurements, decision).items():
        try:
            drawn[name] = drawing.svg()
        except CannotDraw as error:
            failed[name] = error
    return drawn, failed


def list_drawings(hypothesis: Hypothesis, measurements: Measurements, decision: Decision) -> dict[str, Drawing]:
    """Return the figures that a verdict has, drawn or not: name below the run's folder → figure."""
    found: dict[str, Drawing | None] = {}
    for part in decision.decisions:
        spec = hypothesis.decisions[part.name]
        estimate = find_estimate(part.estimand, hypothesis.estimands[spec.estimand].seeds)
        found[part.name] = draw_bands(part, spec, estimate, pilot=measurements.pilot)
    # A decision's name has no hyphen, so that these names are free.
    found[CURVES] = draw_curves(hypothesis, measurements)
    found[SEARCH] = draw_search(hypothesis, decision.search, pilot=measurements.pilot)
    for name in series.list_metrics(measurements):
        if parse_metric(name).layered:
            found[f"{NOT_IN_FILES.sub('-', name)}{LAYERS}"] = draw_layers(hypothesis, measurements, name)
    return {_file(name): drawing for name, drawing in found.items() if drawing is not None}


def _file(name: str) -> str:
    return f"figures/{name}.svg"


def _estimate_row(result: EstimandResult) -> tuple[str, Markdown, Markdown, str]:
    """Return title, mean, 95% interval and number of seeds, as pages of form 1 or 2 have them."""
    dash = Markdown("–")
    if result.mean is None:
        return result.title, dash, dash, str(result.n)
    texts = format_together([result.mean, *(result.interval95 or ())])
    interval = append_unit(f"{texts[1]} to {texts[2]}", result.unit) if len(texts) == 3 else dash
    return result.title, append_unit(texts[0], result.unit), interval, str(result.n)


def _describe_plainly(
    result: EstimandResult, spec: Estimand | None, value: float | None, interval: tuple[float, float] | None
) -> str | None:
    """Return the meaning of ``value``, the estimate or mean over seeds, without its logarithm; None if it has none."""
    if value is None or spec is None or spec.transform != "log10":
        return None
    mean = value == result.mean
    return describe_without_log(value, interval, ratio=spec.is_log_ratio, mean=mean, per=spec.per)


def _format_effect(decision: BandDecision) -> Markdown | None:
    if decision.effect_size is None:
        return None
    texts = format_together([decision.effect_size.value, *decision.effect_size.interval95])
    return Markdown(f"{texts[0]}, 95% interval {texts[1]} to {texts[2]}")


def _guard_row(result: EstimandResult, threshold: float) -> Markdown:
    """Return the guard's median over seeds, with enough digits to lie on the right side of its threshold."""
    if result.median is None:
        return escape("not measured")
    text = append_unit(format_together([result.median], [threshold], result.never)[0], result.unit)
    return Markdown(text + write_between(result))


def _as_json(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    consequences: Mapping[str, Consequences],
    version: int,
) -> str:
    """Return verdict.json. A pilot's has estimates, and neither outcome, decision nor consequences."""
    pilot = measurements.pilot
    later: dict[str, dict[str, IncEx | bool]] = {"decision": {}, "provenance": {}}
    for since, parts in LATER.items():
        for part, fields in parts.items() if version < since else ():
            later[part] |= fields
    estimates = tables.collect_estimands(decision) | {result.name: result for result in decision.exploratory}
    return write_canonical(
        {
            "v": version,
            "hypothesis": registered.hypothesis.id,
            "title": registered.hypothesis.title,
            "registration": registered.registration,
            "run": provenance.run,
            "pilot": pilot,
            "outcome": None if pilot else decision.outcome,
            "predicted": decision.predicted,
            "decision": None if pilot else decision.model_dump(mode="json", exclude=later["decision"]),
            "estimates": {name: result.model_dump(mode="json") for name, result in estimates.items()},
            "consequences": {}
            if pilot
            else {outcome: moved.model_dump(mode="json") for outcome, moved in consequences.items()},
            # Verdicts of any version omit these if empty: runs from before the code's digest was recorded have none,
            # nearly all runs have all figures, and few have deviations that were tried.
            "provenance": provenance.model_dump(
                mode="json",
                exclude={
                    **later["provenance"],
                    **{name: True for name in ("code", "undrawn", "tried") if not getattr(provenance, name)},
                },
            ),
        }
    )
