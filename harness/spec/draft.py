"""A hypothesis as far as its form is right, so that rules can speak about the rest of the file."""

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
)
from harness.spec.forms import part, suggestion
from harness.spec.tree import Node

R = TypeVar("R", bound=Record)
VERBS = ("supports", "walks_back", "restores")
"""What an implication may do to claims: the names of its fields."""


@dataclass(frozen=True)
class Draft:
    """Parts of an expanded document; what has the wrong form is missing here but still named by the document."""

    root: Node
    whole: Hypothesis | None = None
    """The hypothesis, where its form is right throughout: then its parts need not be made once more."""

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """Well-formed arms."""
        return self._parts("arms", Arm)

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
        """Well-formed decisions, their bands as written: those of a whole hypothesis are about signed summaries."""
        parts = {name: part(DecisionSpec, node) for name, node in self.root.items("decisions").items()}
        return {name: record for name, record in parts.items() if record is not None}

    @cached_property
    def implications(self) -> dict[str, Implication]:
        """Well-formed implications."""
        return self._parts("implications", Implication)

    @cached_property
    def seeds(self) -> Seeds | None:
        """The seeds, if well-formed."""
        return self.whole.seeds if self.whole is not None else part(Seeds, self.root.get("seeds"))

    @cached_property
    def prediction(self) -> Prediction | None:
        """The prediction, if well-formed."""
        return self.whole.prediction if self.whole is not None else part(Prediction, self.root.get("prediction"))

    @cached_property
    def combine(self) -> Combine | None:
        """The combination, if given and well-formed."""
        return self.whole.combine if self.whole is not None else part(Combine, self.root.get("combine"))

    @cached_property
    def exclusions(self) -> Exclusions:
        """The exclusions."""
        return (
            self.whole.exclusions
            if self.whole is not None
            else part(Exclusions, self.root.get("exclusions")) or Exclusions()
        )

    @cached_property
    def stopping(self) -> Stopping:
        """The stopping rule."""
        return (
            self.whole.stopping if self.whole is not None else part(Stopping, self.root.get("stopping")) or Stopping()
        )

    @cached_property
    def outcomes(self) -> tuple[str, ...] | None:
        """Every outcome; None while decisions or their combination aren't well-formed."""
        given = self.root.items("decisions")
        whole = given and len(self.decisions) == len(given)
        if not whole or (self.combine is None and (self.given("combine") or len(given) > 1)):
            return None
        parts: dict[str, Any] = {"decisions": self.decisions, "combine": self.combine}
        return Hypothesis.model_construct(**parts).outcomes

    def given(self, key: str) -> bool:
        """Whether the document says something under a key; ``key: null`` says nothing."""
        node = self.root.get(key)
        return node is not None and node.value is not None

    def names(self, section: str) -> list[str]:
        """The names that a section gives, well-formed or not."""
        return list(self.root.items(section))

    def unknown(self, section: str, noun: str, name: str) -> str | None:
        """``there is no arm 'x', did you mean 'y'?``, or None if the section has the name."""
        known = self.names(section)
        return None if name in known else f"there is no {noun} {name!r}{suggestion(name, known)}"

    def _parts(self, section: str, kind: type[R]) -> dict[str, R]:
        if self.whole is not None:
            return dict(getattr(self.whole, section))
        parts = {name: part(kind, node) for name, node in self.root.items(section).items()}
        return {name: record for name, record in parts.items() if record is not None}
