"""The penalty λ · mean_n (‖h_{l+1}‖ − τ)₊², which keeps states from growing beyond a length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.penalties import Penalty
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class HiddenNorm(Penalty):
    """Squared length of the state that a block ends in, beyond a threshold, averaged over samples.

    Equation:
        value(h_{l+1}) = mean_n (‖h_{l+1}‖ − τ)₊²,  gradient 2(‖h_{l+1}‖ − τ)₊ h_{l+1}/(‖h_{l+1}‖ n)

    Source:
        Of this project. Krueger and Memisevic 2016, arXiv 1511.08400, penalise changes of the norms of recurrent
        states.

    Use:
        To bound the residual stream itself and not what each block adds to it: to ask whether a failure of depth is
        one of scale.

    Traps:
        Lengths grow with the square root of the width, and so should τ. It acts on the result of ``join``: under a
        local rule a block is pushed to cancel what came in, which ``residual_branch`` never asks of it. Behind a
        terminal norm it changes no output, and all its effect is on learning. h_0 is left alone.
    """

    name: Literal["hidden_norm"]
    of_state: ClassVar[bool] = True
    threshold: Annotated[float, Unit("1")] = Field(default=0.0, ge=0, examples=[16.0])
    """Length τ up to which a state costs nothing. 0 (default): all of it counts."""

    def value(self, branch: Tensor) -> Tensor:
        """Return the mean squared excess of a state's length, [r, n, d] → [r]."""
        from torch.linalg import vector_norm

        flat = branch.flatten(2)
        if self.threshold == 0:
            return flat.square().sum(-1).mean(-1)
        excess: Tensor = (vector_norm(flat, dim=-1) - self.threshold).clamp(min=0)
        return excess.square().mean(-1)


plugin = HiddenNorm
