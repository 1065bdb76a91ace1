"""From records to the files of a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.main import IncEx

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
from harness.verdict.bands import band_figure, estimate_of, strip
from harness.verdict.canvas import CannotDraw, Drawing
from harness.verdict.page import default_templates, fill
from harness.verdict.profiles import curve_figure, layer_figure
from harness.verdict.text import Markdown, escape, together, unpadded, with_unit
from harness.verdict.worded import FORM_OF_TODAY, VERSION
from harness.wording import told_plainly

CURVES, LAYERS = "learning-curves", "-layers"
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
"""Version → what parts of verdict.json say since: a verdict stored before is written again without it."""

NUMBERS = (
    "decisions", "exploratory", "guards", "curves", "profiles", "per_seed", "per_arm", "per_layer", "shared_settings",
    "arm_settings",
)  # fmt: skip
"""Variables of a template with numbers in them that are written already."""


class Picture(NamedTuple):
    """A figure as the template sees it."""

    path: Markdown
    alt: str


class DecisionView(NamedTuple):
    """A decision with what the template cannot work out by itself."""

    record: BandDecision
    estimate: Markdown | None
    """With its unit."""
    summary: str
    """mean or median."""
    interval: Markdown | None
    """``29.2 to 32.0 pp``, at the decision's own level."""
    strip: str
    figure: Picture | None
    plainly: str | None
    """What an estimate in log10 says without its logarithm: ``a ratio of 3.2 (2.9 to 3.6)``."""
    effect: Markdown | None
    """The standardised effect: ``-3.34, 95% interval -4.94 to -1.71``."""


def render(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    consequences: Mapping[str, Consequences],
    templates: Path | Mapping[str, bytes] | None = None,
    *,
    version: int = VERSION,
    figures: bool = True,
) -> dict[str, bytes]:
    """All files of a verdict: name below the run's folder → bytes. The same inputs give the same bytes.

    ``version`` is the form of verdict.json, to write one again as it was stored. Without ``figures`` they are named on
    the page and not drawn. The page shows none that ``provenance`` says could not be drawn, and names it.

    ``consequences`` has an entry for every outcome (``harness.claims.find_consequences``). A pilot's verdict shows
    estimates under a watermark and names no outcome anywhere.

    Raises:
        CannotDraw: a figure could not be drawn here.
        HarnessError: a template that is missing or does not fit.
    """
    hypothesis = registered.hypothesis
    drawings = drawings_of(hypothesis, measurements, decision)
    files = {name: drawing.svg() for name, drawing in drawings.items()} if figures else {}
    shown = {
        name: Picture(Markdown(name), drawing.told_before if version < FORM_OF_TODAY else drawing.alt)
        for name, drawing in drawings.items()
        if name not in provenance.undrawn
    }

    views = []
    for part in decision.decisions:
        spec = hypothesis.decisions[part.name]
        summary = hypothesis.estimands[spec.estimand].seeds
        estimate = estimate_of(part.estimand, summary)
        texts = together([estimate, *(part.interval or ())], spec.cuts) if estimate is not None else []
        unit = part.estimand.unit
        views.append(
            DecisionView(
                record=part,
                estimate=with_unit(texts[0], unit) if texts else None,
                summary=summary,
                interval=with_unit(f"{texts[1]} to {texts[2]}", unit) if len(texts) == 3 else None,
                strip=strip(part, spec, estimate),
                figure=shown.get(_file(part.name)),
                plainly=_plainly(part.estimand, hypothesis.estimands[spec.estimand], estimate, part.interval),
                effect=_effect(part),
            )
        )
    before = version < FORM_OF_TODAY
    settings = tables.settings_before if before else tables.settings
    shared, arms = settings(hypothesis, measurements)
    context: dict[str, Any] = {
        "hypothesis": hypothesis,
        "registered": registered,
        "claims": registered.claims.claims,
        "measurements": measurements,
        "decision": decision,
        "decisions": views,
        "provenance": provenance,
        "consequences": dict(consequences),
        "effects": {outcome: tables.effects(moved) for outcome, moved in consequences.items()},
        "exploratory": [_estimate_row(result) for result in decision.exploratory],
        "exploratory_plainly": [
            _plainly(result, hypothesis.exploratory.get(result.name), result.mean, result.interval95)
            for result in decision.exploratory
        ],
        "guards": [_guard_row(guard.estimand, guard.threshold) for guard in decision.guards],
        "attempts": tables.count_attempts(attempt.status for attempt in provenance.attempts),
        "curves": shown.get(_file(CURVES)),
        "profiles": [picture for name, picture in shown.items() if name.endswith(f"{LAYERS}.svg")],
        "per_seed": tables.per_seed(measurements, decision),
        "per_arm": tables.per_arm(hypothesis, measurements),
        "per_layer": tables.per_layer(hypothesis, measurements),
        "shared_settings": shared,
        "arm_settings": arms,
        "distinct_weights": len({replica.weights_sha256 for replica in measurements.replicas}),
    }
    if not before:
        context |= {key: unpadded(context[key]) for key in NUMBERS}
    chosen = default_templates() if templates is None else templates
    files["verdict.md"] = fill("verdict.md.j2", context, chosen, before=before).encode()
    files["verdict.json"] = _as_json(registered, measurements, decision, provenance, consequences, version).encode()
    return dict(sorted(files.items()))


def draw(
    hypothesis: Hypothesis, measurements: Measurements, decision: Decision
) -> tuple[dict[str, bytes], dict[str, CannotDraw]]:
    """The figures of a verdict, name below the run's folder → bytes, and why the others could not be drawn here."""
    drawn: dict[str, bytes] = {}
    failed: dict[str, CannotDraw] = {}
    for name, drawing in drawings_of(hypothesis, measurements, decision).items():
        try:
            drawn[name] = drawing.svg()
        except CannotDraw as error:
            failed[name] = error
    return drawn, failed


def drawings_of(hypothesis: Hypothesis, measurements: Measurements, decision: Decision) -> dict[str, Drawing]:
    """The figures that a verdict has, drawn or not: name below the run's folder → figure."""
    found: dict[str, Drawing | None] = {}
    for part in decision.decisions:
        spec = hypothesis.decisions[part.name]
        estimate = estimate_of(part.estimand, hypothesis.estimands[spec.estimand].seeds)
        found[part.name] = band_figure(part, spec, estimate, pilot=measurements.pilot)
    # A decision's name has no hyphen, so that these names are free.
    found[CURVES] = curve_figure(hypothesis, measurements)
    for name in series.measured(measurements):
        if series.metric(name).layered:
            found[f"{name}{LAYERS}"] = layer_figure(hypothesis, measurements, name)
    return {_file(name): drawing for name, drawing in found.items() if drawing is not None}


def _file(name: str) -> str:
    return f"figures/{name}.svg"


def _estimate_row(result: EstimandResult) -> tuple[str, Markdown, Markdown, str]:
    """Title, estimate, 95% interval and number of seeds."""
    dash = Markdown("–")
    if result.mean is None:
        return result.title, dash, dash, str(result.n)
    texts = together([result.mean, *(result.interval95 or ())])
    interval = with_unit(f"{texts[1]} to {texts[2]}", result.unit) if len(texts) == 3 else dash
    return result.title, with_unit(texts[0], result.unit), interval, str(result.n)


def _plainly(
    result: EstimandResult, spec: Estimand | None, value: float | None, interval: tuple[float, float] | None
) -> str | None:
    """What ``value``, the estimate or the mean over seeds, says without its logarithm, if it has one."""
    if value is None or spec is None or spec.transform != "log10":
        return None
    return told_plainly(value, interval, ratio=spec.contrast is not None, mean=value == result.mean)


def _effect(decision: BandDecision) -> Markdown | None:
    if decision.effect_size is None:
        return None
    texts = together([decision.effect_size.value, *decision.effect_size.interval95])
    return Markdown(f"{texts[0]}, 95% interval {texts[1]} to {texts[2]}")


def _guard_row(result: EstimandResult, threshold: float) -> Markdown:
    """The guard's median over seeds, on the right side of its threshold."""
    if result.median is None:
        return escape("not measured")
    return with_unit(together([result.median], [threshold])[0], result.unit)


def _as_json(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    consequences: Mapping[str, Consequences],
    version: int,
) -> str:
    """verdict.json. A pilot's has estimates, and neither outcome, decision nor consequences."""
    pilot = measurements.pilot
    later: dict[str, dict[str, IncEx | bool]] = {"decision": {}, "provenance": {}}
    for since, parts in LATER.items():
        for part, fields in parts.items() if version < since else ():
            later[part] |= fields
    estimates = tables.estimands_of(decision) | {result.name: result for result in decision.exploratory}
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
            # In verdicts of any version: a run from before the code's digest was noted has none, nearly every run has
            # all its figures, and few have deviations that were tried.
            "provenance": provenance.model_dump(
                mode="json",
                exclude={
                    **later["provenance"],
                    **{name: True for name in ("code", "undrawn", "tried") if not getattr(provenance, name)},
                },
            ),
        }
    )
