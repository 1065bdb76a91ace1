"""The findings of check, plan and power, for a person to look at and for code to use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.api import html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from harness.errors import Finding
    from harness.pipeline.plan import Preview
    from harness.records import DecisionPower, Hypothesis, PowerReport
    from harness.spec import FolderReport


class CheckReport:
    """Everything that was found in hypothesis files; true if there is no error among it."""

    def __init__(self, report: FolderReport) -> None:
        """Take what ``harness.pipeline.check`` found."""
        self._report = report

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, sorted by place: errors, warnings and notes."""
        return self._report.findings

    @property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """The hypotheses of the valid files."""
        return tuple(loaded.hypothesis for loaded in self._report.loaded)

    @property
    def ok(self) -> bool:
        """True if no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or self._sum_up()

    def __repr__(self) -> str:
        return f"<check: {self._sum_up()}>"

    def _repr_html_(self) -> str:
        rows = [(f"{one.file}:{one.line}", one.severity, one.message, one.remedy or "") for one in self.findings]
        heads = ("place", "severity", "problem", "remedy")
        return html.section(f"check: {self._sum_up()}", html.table(heads, rows) if rows else "")

    def _sum_up(self) -> str:
        from harness.wording import format_count

        counts = (sum(one.severity == kind for one in self.findings) for kind in ("error", "warning", "note"))
        named = [format_count(count, kind) for count, kind in zip(counts, ("error", "warning", "note"), strict=True)]
        return ", ".join([f"{format_count(len(self._report.loaded), 'file')} valid", *named])


class RunPlan:
    """A run as it would be, without training."""

    def __init__(self, preview: Preview) -> None:
        """Take what ``harness.pipeline.plan`` foresees."""
        self.preview = preview
        """The whole preview, as ``harness plan`` prints it."""

    @property
    def replicas(self) -> int:
        """Number of replicas: arms times seeds."""
        return sum(len(cohort.replicas) for cohort in self.preview.planned.cohorts)

    @property
    def seconds(self) -> float:
        """Estimated duration of training in seconds."""
        return self.preview.estimate.seconds

    @property
    def memory_bytes(self) -> int:
        """Estimated memory of the largest cohort in bytes."""
        return self.preview.estimate.memory_bytes

    @property
    def refused(self) -> str | None:
        """The reason that a run would not start; None if it would."""
        return None if self.preview.refused is None else str(self.preview.refused)

    def __repr__(self) -> str:
        from harness.wording import format_count

        about = self.preview
        cohorts = format_count(len(about.planned.cohorts), "cohort")
        replicas = format_count(self.replicas, "replica")
        jobs = "" if about.place is None else f", {self._count_jobs()}"
        return f"<plan of {about.hypothesis.id}: {replicas} in {cohorts} on {about.device}{jobs}>"

    def _count_jobs(self) -> str:
        from harness.wording import format_count

        return f"in {format_count(len(self.preview.jobs), 'job')} at {self.preview.place}"

    def _repr_html_(self) -> str:
        rows = [
            (str(number), ", ".join(cohort.arms), str(len(cohort.replicas)), f"{cohort.steps:,}")
            for number, cohort in enumerate(self.preview.planned.cohorts, 1)
        ]
        told = f"about {max(1, round(self.seconds)):,} s on {self.preview.device}"
        told += "" if self.preview.place is None else f", {self._count_jobs()}"
        parts = [html.table(("cohort", "arms", "replicas", "steps"), rows), html.paragraph(f"training: {told}")]
        parts += [html.paragraph(self.preview.seeds)]
        parts += [html.paragraph(f"a run would be refused: {self.refused}")] if self.refused else []
        return html.section(f"plan of {self.preview.hypothesis.id}", *parts)


class PowerAnalysis:
    """The chance of each outcome for a range of assumed true effects."""

    def __init__(self, report: PowerReport) -> None:
        """Take what ``harness.pipeline.power`` computed."""
        self.report = report
        """The numbers, as ``harness power --format json`` writes them."""

    @property
    def decisions(self) -> tuple[DecisionPower, ...]:
        """The operating characteristics of each decision."""
        return self.report.decisions

    def figure(self) -> Figure:
        """Draw the analysis as a figure of matplotlib.

        Raises:
            CannotDraw: matplotlib can't draw here.
        """
        from harness.verdict import power

        return power.make_drawing(self.report).figure()

    def __repr__(self) -> str:
        return f"<power of {self.report.hypothesis}: {self.report.seeds} seeds, predicted {self.report.predicted}>"

    def _repr_html_(self) -> str:
        from harness.verdict import power

        parts = []
        for decision in self.decisions:
            parts.append(html.paragraph(f"{decision.name}: {' '.join(power.describe_decision(decision))}"))
            for table in power.tabulate_decision(decision):
                parts += [html.paragraph(table.title), html.table(table.heads, table.rows)]
        return html.section(f"power of {self.report.hypothesis}", *parts)
