"""Stand-in for the learning rule of an arm that a program trains; see ``harness.records.program``."""

from __future__ import annotations

from typing import Any, Literal

from harness.rules import Objective, Rule


class ProgramRule(Rule):
    """Training by a program of which harness sees the results and not the training."""

    gives_site_credit = False
    name: Literal["program"]

    def objective(self, *_: Any, **__: Any) -> Objective:
        """Refuse: the program trains.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a program trains this arm")


plugin = ProgramRule
