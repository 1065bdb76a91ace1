"""Criteria: the statistical tests that decide on which side of a cut an estimand lies. NumPy and SciPy only."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from harness.fields import Unit
from harness.registry import Plugin


class Criterion(Plugin):
    """Interface of a criterion plug-in. ``x`` holds one finite number per seed, float64 [n]."""

    targets: ClassVar[Literal["mean", "median"]]
    """The parameter of the distribution over seeds that it tests."""
    assumes: ClassVar[str]
    """What must hold for its error rate, in words."""
    source: ClassVar[str]
    """Where it comes from."""

    alpha: Annotated[float, Unit("probability")] = Field(default=0.05, gt=0, lt=0.5)
    """Largest probability of a wrong outcome, α."""

    @abstractmethod
    def smallest_n(self, alpha: float) -> int:
        """The fewest seeds with which a one-sided test can reject at ``alpha``."""

    @abstractmethod
    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """One-sided p of the null "parameter ≤ cut": small when the data lie above the cut."""

    @abstractmethod
    def p_less(self, x: np.ndarray, cut: float) -> float:
        """One-sided p of the null "parameter ≥ cut": small when the data lie below the cut."""

    @abstractmethod
    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Two-sided confidence interval at ``level``, consistent with the one-sided tests."""

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Probability that the one-sided test at ``alpha`` misses a cut at ``distance`` from the true parameter.

        ``n`` seeds with standard deviation ``sd`` > 0; for planning how many are needed. None where the criterion has
        no such formula.
        """
        return None
