"""Stand-in for the optimizer of an arm that a program trains; see ``harness.records.program``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.optimizers import Optimizer, Rates
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class ProgramOptimizer(Optimizer):
    """Updates that a program makes by itself."""

    name: Literal["program"]
    lr: Annotated[float, Unit("1")] = Field(default=1.0, gt=0, exclude=True)
    """Number without a meaning here."""

    def update(self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates) -> None:
        """Refuse: the program updates.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a program makes its own updates")


plugin = ProgramOptimizer
