"""The penalty λ · mean_n ‖f_l(h_l)‖², which keeps each block's contribution to the residual stream small."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.penalties import Penalty

if TYPE_CHECKING:
    from torch import Tensor


class ResidualBranch(Penalty):
    """Squared norm of a block's branch output, summed over units and averaged over samples.

    Equation:
        value(f_l) = mean_n ‖f_l(h_l)‖²,  gradient 2f_l/n

    Source:
        A penalty of the protocols that this project replicates.

    Use:
        To keep every block's contribution to a residual stream small, and so the stream from growing under rules whose
        credit never vanishes.

    Traps:
        It acts on f_l before ``join``: in a plain network, where h_{l+1} = φ(f_l), it holds activations' inputs small,
        which is another intervention. Under local rules each block descends its own penalty only. The strength
        competes with credit whose scale depends on the rule: the same λ is not equally strong in two arms.
    """

    name: Literal["residual_branch"]
    gradient_factor: ClassVar[float | None] = 2.0

    def value(self, branch: Tensor) -> Tensor:
        """Return the mean squared norm of the branch output, [r, n, …] → [r]."""
        return branch.flatten(2).square().sum(-1).mean(-1)


plugin = ResidualBranch
