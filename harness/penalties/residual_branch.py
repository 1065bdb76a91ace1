"""The penalty λ · mean_n ‖f_l(h_l)‖², which keeps each block's contribution to the residual stream small."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.penalties import Penalty

if TYPE_CHECKING:
    from torch import Tensor


class ResidualBranch(Penalty):
    """Squared norm of a block's branch output, summed over features and averaged over samples."""

    name: Literal["residual_branch"]
    gradient_factor: ClassVar[float | None] = 2.0

    def value(self, branch: Tensor) -> Tensor:
        """Return the mean squared norm of the branch output, [r, n, d] → [r]."""
        return branch.square().sum(-1).mean(-1)


plugin = ResidualBranch
