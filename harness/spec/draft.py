"""The well-formed parts of a hypothesis, so that rules can check them even if other parts are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from harness.records import (
    Arm,
    Combine,
    DecisionSpec,
    Estimand,
    Exclusions,
    Guard,
    Hypothesis,
    Implication,
    Prediction,
    Record,
    Seeds,
    Stopping,
    Tuning,
)
from harness.spec.forms import make_part
from harness.spec.tree import Node
from harness.wording import suggest

R = TypeVar("R", bound=Record)
VERBS = ("supports", "walks_back", "restores")
"""Effects that an implication may have on claims, which are the names of its fields."""


@dataclass(frozen=True)
class Draft:
    """The parts of an expanded document. A malformed part is missing here, but the document still names it."""

    root: Node
    whole: Hypothesis | None = None
    """The whole hypothesis, if it is well-formed; its parts need not be constructed again."""

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """Well-formed arms."""
        return self._parts("arms", Arm)

    @cached_property
    def built_in(self) -> dict[str, Arm]:
        """Well-formed arms that harness trains: without a program all, even one that names a program's rule."""
        return {name: arm for name, arm in self.arms.items() if not (self.given("program") and arm.is_program)}

    @cached_property
    def estimands(self) -> dict[str, Estimand]:
        """Well-formed estimands."""
        return self._parts("estimands", Estimand)

    @cached_property
    def exploratory(self) -> dict[str, Estimand]:
        """Well-formed exploratory estimands."""
        return self._parts("exploratory", Estimand)

    @cached_property
    def guards(self) -> dict[str, Guard]:
        """Well-formed guards."""
        return self._parts("guards", Guard)

    @cached_property
    def decisions(self) -> dict[str, DecisionSpec]:
        """Well-formed decisions, with bands as written; those of a whole hypothesis are about signed summaries."""
        parts = {name: make_part(DecisionSpec, node) for name, node in self.root.items("decisions").items()}
        return {name: record for name, record in parts.items() if record is not None}

    @cached_property
    def implications(self) -> dict[str, Implication]:
        """Well-formed implications."""
        return self._parts("implications", Implication)

    @cached_property
    def seeds(self) -> Seeds | None:
        """Seeds, if well-formed."""
        return self.whole.seeds if self.whole is not None else make_part(Seeds, self.root.get("seeds"))

    @cached_property
    def prediction(self) -> Prediction | None:
        """Prediction, if well-formed."""
        return self.whole.prediction if self.whole is not None else make_part(Prediction, self.root.get("prediction"))

    @cached_property
    def combine(self) -> Combine | None:
        """Combination, if given and well-formed."""
        return self.whole.combine if self.whole is not None else make_part(Combine, self.root.get("combine"))

    @cached_property
    def exclusions(self) -> Exclusions:
        """Exclusions, or the default if malformed."""
        return (
            self.whole.exclusions
            if self.whole is not None
            else make_part(Exclusions, self.root.get("exclusions")) or Exclusions()
        )

    @cached_property
    def stopping(self) -> Stopping:
        """Stopping rule, or the default if malformed."""
        return (
            self.whole.stopping
            if self.whole is not None
            else make_part(Stopping, self.root.get("stopping")) or Stopping()
        )

    @cached_property
    def tuning(self) -> Tuning | None:
        """Tuning, if given and well-formed."""
        return self.whole.tuning if self.whole is not None else make_part(Tuning, self.root.get("tuning"))

    @cached_property
    def outcomes(self) -> tuple[str, ...] | None:
        """Every outcome; None while decisions or their combination are malformed."""
        given = self.root.items("decisions")
        whole = given and len(self.decisions) == len(given)
        if not whole or (self.combine is None and (self.given("combine") or len(given) > 1)):
            return None
        parts: dict[str, Any] = {"decisions": self.decisions, "combine": self.combine}
        return Hypothesis.model_construct(**parts).outcomes

    def given(self, key: str) -> bool:
        """Tell whether the document gives a value for a key; ``key: null`` gives none."""
        node = self.root.get(key)
        return node is not None and node.value is not None

    def names(self, section: str) -> list[str]:
        """Return the names that a section gives, well-formed or not."""
        return list(self.root.items(section))

    def unknown(self, section: str, noun: str, name: str) -> str | None:
        """Return ``there is no arm 'x', did you mean 'y'?``, or None if the section has the name."""
        known = self.names(section)
        return None if name in known else f"there is no {noun} {name!r}{suggest(name, known)}"

    def _parts(self, section: str, kind: type[R]) -> dict[str, R]:
        if self.whole is not None:
            return dict(getattr(self.whole, section))
        parts = {name: make_part(kind, node) for name, node in self.root.items(section).items()}
        return {name: record for name, record in parts.items() if record is not None}
