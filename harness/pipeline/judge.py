"""Step from a decision to a verdict's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from harness import claims, verdict
from harness.records import Consequences, Decision, Measurements, Provenance, Registered

if TYPE_CHECKING:
    from harness.datasets import Images


def prepare_verdict(images: Mapping[str, Images]) -> Iterator[None]:
    """Do what a verdict will need whatever it says, a part at each step: load matplotlib, and look through the data.

    Whatever fails fails again, and is told, where it is needed.
    """
    yield from verdict.load_in_parts()
    for data in images.values():
        with suppress(Exception):
            _ = data.notes
        yield


def render_verdict(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    templates: Mapping[str, bytes] | None = None,
    *,
    version: int = verdict.VERSION,
    figures: bool = True,
) -> dict[str, bytes]:
    """Render the verdict's files: a pure function of what was registered, measured, and noted about the run.

    ``templates`` are those of another version (name → bytes), for a verdict that was written with them;
    ``version`` and ``figures`` are those of ``verdict.Form``.
    """
    consequences: dict[str, Consequences] = {
        outcome: claims.find_consequences(registered.claims, implication)
        for outcome, implication in registered.hypothesis.implications.items()
    }
    form = verdict.Form(templates, version, figures)
    return verdict.render(registered, measurements, decision, provenance, consequences, form)


def render_first_verdict(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    say: Callable[[str], None],
    templates: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Render the verdict's files and env.json, where it is written for the first time.

    A figure that cannot be drawn here withholds nothing: env.json names it, so that the page follows from what is
    stored.
    """
    drawn, failed = verdict.draw(registered.hypothesis, measurements, decision)
    for why in dict.fromkeys(error.message for error in failed.values()):
        names = ", ".join(name for name, error in failed.items() if error.message == why)
        say(f"the verdict is written without {names}: {why}")
    provenance = provenance.model_copy(update={"undrawn": tuple(failed)})
    pages = render_verdict(registered, measurements, decision, provenance, templates, figures=False)
    return {**pages, **drawn, "env.json": provenance.to_json().encode()}
