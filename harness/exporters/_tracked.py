"""All that trackers are told of a run: of each replica its curves, and of the verdict what it concluded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from harness.ledger import Ledger
from harness.pipeline.show import read_verdict
from harness.pipeline.tidy import MeasuredValue, fill_failed, list_measured
from harness.pipeline.verdicts import JudgedRun, read_judged_run


@dataclass(frozen=True)
class Tracked:
    """A run with its verdict, as trackers show one."""

    judged: JudgedRun
    """The run."""
    page: str
    """The verdict's page, Markdown."""
    outcome: str
    """The outcome that the ledger holds."""

    @property
    def hypothesis(self) -> str:
        """Return the hypothesis's id."""
        return self.judged.run.hypothesis

    @property
    def run(self) -> str:
        """Return the run's short name."""
        return self.judged.run.name

    @property
    def started(self) -> float:
        """Return the claimed time of the start, in seconds since 1970."""
        return datetime.fromisoformat(self.judged.run.claimed_time).timestamp()

    @property
    def labels(self) -> dict[str, str]:
        """Return what identifies the verdict, by which it can be found again in its trail."""
        registered = self.judged.stored.registered
        return {
            "harness.hypothesis": self.hypothesis,
            "harness.title": registered.hypothesis.title,
            "harness.run": self.judged.run.digest,
            "harness.registration": registered.registration,
            "harness.outcome": self.outcome,
            "harness.predicted": registered.hypothesis.prediction.outcome,
            "harness.summary": self.judged.decision.summary,
            **({} if self.judged.stored.provenance.linked is None else {"harness.trained": "outside harness"}),
        }

    @property
    def numbers(self) -> dict[str, float]:
        """Return what was concluded in numbers: of each decision the estimate, its interval, p and number of seeds."""
        found: dict[str, float | None] = {"p": self.judged.decision.p}
        hypothesis = self.judged.stored.registered.hypothesis
        for part in self.judged.decision.decisions:
            low, high = part.interval or (None, None)
            summary = hypothesis.estimands[part.estimand.name].seeds
            told = {"estimate": part.estimand.estimate(summary), "low": low, "high": high, "p": part.p}
            found |= {f"{part.name}/{name}": value for name, value in told.items()}
            found[f"{part.name}/n"] = part.estimand.n
        return {name: float(value) for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class TrackedReplica:
    """One replica's curves."""

    arm: str
    """Name of the arm."""
    seed_index: int
    """Position in the list of seeds, counted from 0."""
    seed: int
    """The seed number."""
    status: str
    """finished, diverged or failed."""
    points: tuple[tuple[int, str, float], ...]
    """Epoch, name and value of everything that was measured and finite, by epoch."""


def read_tracked(name: str, trail: Ledger) -> Tracked:
    """Read what trackers are told of the last verdict on a hypothesis, or of that of a run.

    Raises:
        UsageError: nothing of that name was judged.
        Tampered: its files are not those that the ledger names.
    """
    judged = read_judged_run(trail, name)
    page = read_verdict(judged.run.digest, trail)
    return Tracked(judged, "\n\n".join([*page.banners, page.text]), page.outcome)


def list_replicas(tracked: Tracked) -> Iterator[TrackedReplica]:
    """Yield the replicas in the order of results.json."""
    stored = tracked.judged.stored
    rows = list_measured(fill_failed(stored.measurements, stored.registered.hypothesis.arms), tracked.run)
    for (arm, index, seed, status), own in groupby(
        rows, key=lambda row: (row.arm, row.seed_index, row.seed, row.status)
    ):
        points = [(row.epoch, name_curve(row), row.value) for row in own if row.value is not None]
        yield TrackedReplica(arm, index, seed, status, tuple(sorted(points, key=lambda point: point[0])))


def name_curve(row: MeasuredValue) -> str:
    """Return the name of a number's curve: ``test_accuracy``, ``credit_cosine/mean/layer-1``."""
    summary = [] if row.summary == "value" else [row.summary]
    return "/".join([row.metric, *summary, *([] if row.layer is None else [f"layer-{row.layer}"])])
