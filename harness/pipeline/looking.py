"""What can be seen without training: plans, standings, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import ledger, plan, spec
from harness.ledger import Ledger
from harness.pipeline.claiming import banner_lines
from harness.pipeline.project import (
    Project,
    Settings,
    open_ledger,
    project_of,
    refuse_altered,
    run_folder,
    stored,
    trail_at,
)
from harness.pipeline.steps import planned_on
from harness.records import (
    Attempt,
    Hypothesis,
    Plan,
)


@dataclass(frozen=True)
class Outlook:
    """What a run would do, without training."""

    hypothesis: Hypothesis
    registration: str | None
    planned: Plan
    estimate: plan.Estimate
    measured: bool
    """Whether the estimate's seconds come from steps that were timed on this device."""
    device: str
    data: dict[str, str]
    """Data set → where it would come from."""
    project: Project
    """Where the file belongs, and which settings hold there."""


def outlook(path: Path, settings: Settings, *, measure: bool = False) -> Outlook:
    """What ``harness plan`` shows; with ``measure``, shapes that nobody timed on this device are timed first."""
    hypothesis = spec.load(path).hypothesis
    project = project_of(path, settings)
    registration = ledger.in_force(trail_at(project.verdicts), hypothesis.id)
    from harness import engine

    device = engine.open_device(project.device, settings.compile)
    seeds = registration.seeds if registration else tuple(range(hypothesis.seeds.number))
    planned = planned_on(device, hypothesis, seeds)
    estimate = plan.estimate(planned, device.torch.type, kernels=device.kernels)
    seconds = engine.training_seconds(planned, device, measure=measure)
    sets = {arm.setup.dataset.name: arm.setup.dataset for arm in hypothesis.arms.values()}
    return Outlook(
        hypothesis=hypothesis,
        registration=registration.digest if registration else None,
        planned=planned,
        estimate=estimate if seconds is None else replace(estimate, seconds=seconds),
        measured=seconds is not None,
        device=device.name,
        project=project,
        data={name: dataset.locate(project.data) for name, dataset in sets.items()},
    )


@dataclass(frozen=True)
class Standing:
    """Where a hypothesis stands in the trail."""

    hypothesis: Hypothesis
    path: Path
    registered: str | None
    """Claimed time of the registration."""
    attempts: tuple[Attempt, ...]

    @property
    def outcome(self) -> str | None:
        """Of the last judged attempt."""
        judged = [attempt.outcome for attempt in self.attempts if attempt.outcome is not None]
        return judged[-1] if judged else None


def standings(loaded: Sequence[spec.Loaded], settings: Settings) -> tuple[Standing, ...]:
    """Registration and attempts of hypotheses; each trail that they belong to is read once."""
    trails: dict[Path, Ledger] = {}
    of_folder: dict[Path, Ledger] = {}  # whose project is looked up once
    found = []
    for one in loaded:
        folder = one.path.resolve().parent
        if folder not in of_folder:
            own = open_ledger(one.path, settings)
            of_folder[folder] = trails.setdefault(own.root.resolve(), own)
        trail = of_folder[folder]
        registration = ledger.find_registration(trail, one.hypothesis.id)
        found.append(
            Standing(
                hypothesis=one.hypothesis,
                path=one.path,
                registered=registration.claimed_time if registration else None,
                attempts=ledger.attempts(trail, one.hypothesis.id),
            )
        )
    return tuple(found)


def history(name: str, verdicts: Path) -> tuple[ledger.Moment, ...]:
    """The life of a hypothesis in the trail.

    Raises:
        UsageError: the trail has nothing about it.
    """
    return ledger.timeline(Ledger(verdicts), name)


@dataclass(frozen=True)
class Page:
    """A verdict as it is stored, and what later verdicts did to the claims that it moved."""

    path: Path
    text: str
    banners: tuple[str, ...]
    """Markdown quotations, to be shown above it."""


def read_verdict(name: str, verdicts: Path) -> Page:
    """The last verdict on a hypothesis, or that on a run.

    Raises:
        UsageError: nothing of that name was judged, or its file is missing.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, name)
    path = run_folder(trail, started) / "verdict.md"
    recorded = ledger.recorded_files(trail, started.digest)
    refuse_altered(path.parent, {"verdict.md": recorded["verdict.md"]})
    return Page(path, stored(path).decode(), banner_lines(trail, started))
