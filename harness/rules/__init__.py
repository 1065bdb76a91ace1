"""Learning rules, which turn an error into updates.

A rule states the objective that each parameter descends, as one differentiable scalar per replica, and stops gradients
(detach) where credit does not flow. The training step differentiates, clips, and updates; all updates of a step use
the weights from before the step, because they come from one backward pass.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import TensorSpec
from harness.models import Model
from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """The result of one forward pass, each [r]."""

    descend: Tensor
    """The scalar whose gradient the parameters descend (for local rules a sum of surrogates, not a loss)."""
    cross_entropy: Tensor
    """Mean cross entropy of the batch, detached: the training loss that is reported."""


class Rule(Plugin):
    """Interface of a learning-rule plug-in."""

    gives_credit: ClassVar[bool]
    """True if the rule gives each layer a credit vector a_l that is not the gradient itself (see ``credit``)."""
    backward: ClassVar[Literal["through", "direct_feedback"] | None] = None
    """Path of the error to the weights, for steps that compute it without ``objective``; None leaves it to autograd.

    ``through``: the gradient of mean cross entropy + Σ_l penalty(f_l) through the whole network, as ``rules/bp.py``.
    ``direct_feedback``: every block descends on its own projection of the error, as ``rules/dfa.py``. A declaration
    holds for the class that makes it, not for its subclasses; clipping is declared by ``clip_norms``.
    """

    def feedback(self, model: Model, classes: int) -> tuple[TensorSpec, ...]:
        """Return the fixed random tensors of one replica; none by default."""
        return ()

    def clip_norms(self, model: Model) -> Mapping[str, float]:
        """Return the maximum gradient norm per parameter group and replica; groups not named are not clipped."""
        return {}

    @abstractmethod
    def objective(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[[Tensor], Tensor] | None,
    ) -> Objective:
        """Compute a batch: x [r, n, i], labels y int64 [r, n]; ``penalty`` maps a branch [r, n, d] to λ·value [r]."""

    def credit(self, model: Model, feedback: Mapping[str, Tensor], error: Tensor, layer: int) -> Tensor:
        """Return a_l [r, n, d] for l = 0 … L from the error e = softmax(logits) − onehot(y) [r, n, c]."""
        raise NotImplementedError(f"rule {self.name} gives no credit vector")
