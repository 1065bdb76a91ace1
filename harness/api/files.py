"""A hypothesis file that was loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import html

if TYPE_CHECKING:
    from harness.api.reports import CheckReport, PowerAnalysis, RunPlan
    from harness.api.verdicts import Verdict
    from harness.records import Hypothesis
    from harness.spec import Loaded


class HypothesisFile:
    """A valid hypothesis file; its methods are the functions of ``harness.api`` about this file."""

    def __init__(self, loaded: Loaded) -> None:
        """Take a loaded file; ``harness.api.load`` makes one."""
        self._loaded = loaded

    @property
    def path(self) -> Path:
        """The file."""
        return self._loaded.path

    @property
    def id(self) -> str:
        """The hypothesis's id."""
        return self._loaded.hypothesis.id

    @property
    def hypothesis(self) -> Hypothesis:
        """The hypothesis as a record, with all defaults."""
        return self._loaded.hypothesis

    def check(self) -> CheckReport:
        """Check the file, as ``harness.api.check``."""
        from harness import api

        return api.check(self.path)

    def plan(
        self, *, device: str | None = None, data: str | PathLike[str] | None = None, on: str | None = None
    ) -> RunPlan:
        """Show what a run would do, as ``harness.api.plan``."""
        from harness import api

        return api.plan(self.path, device=device, data=data, on=on)

    def power(
        self,
        *,
        sd: float | Mapping[str, float] | None = None,
        sd_from: str | None = None,
        effects: Iterable[float] = (),
    ) -> PowerAnalysis:
        """Compute the probability of each outcome, as ``harness.api.power``."""
        from harness import api

        return api.power(self.path, sd=sd, sd_from=sd_from, effects=effects)

    def run(
        self,
        *,
        device: str | None = None,
        data: str | PathLike[str] | None = None,
        on: str | None = None,
        yes: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> Verdict:
        """Test the hypothesis, as ``harness.api.run``."""
        from harness import api

        return api.run(self.path, device=device, data=data, on=on, yes=yes, say=say)

    def __repr__(self) -> str:
        return f"<hypothesis {self.id}: {self.hypothesis.title}>"

    def _repr_html_(self) -> str:
        about = self.hypothesis
        rows = [
            ("question", about.question),
            ("predicted", f"{about.prediction.outcome}: {about.prediction.why}"),
            ("arms", ", ".join(f"{arm.label} ({name})" for name, arm in about.arms.items())),
            ("seeds", str(about.seeds.number)),
            *((f"decision {name}", _list_bands(one.bands)) for name, one in about.decisions.items()),
        ]
        return html.section(f"{about.id}: {about.title}", html.table((), rows))


def _list_bands(bands: Mapping[str, object]) -> str:
    from harness.wording import typeset

    return typeset("; ".join(f"{name}: {band}" for name, band in bands.items()))
