"""Direction of the update of the head: the cosine between a rule's gradient and that of backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import CreditMetric, Evaluation

if TYPE_CHECKING:
    from torch import Tensor


class HeadUpdateCosine(CreditMetric):
    """Cosine of both gradients in all parameters of the head, on the probe batch, as ``update_cosine`` of other parts.

    NaN where one gradient is zero.

    Equation:
        cos(∂θ of the rule, ∂θ of backpropagation), over all parameters of the head

    Source:
        As the angles of updates in Lillicrap et al. 2016, doi 10.1038/ncomms13276.

    Use:
        As a check that a rule leaves the head its exact gradient, and for rules that do not: perturbations, and second
        passes.

    Traps:
        It is 1 for every rule that trains the head on the loss, and then says nothing of the rule. A head that learns
        well on bad states makes a bad rule look good.
    """

    name: Literal["head_update_cosine"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "cosine of the rule's update of the head and BP's"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the cosines [r]."""
        from harness.batched.geometry import cosine

        own, exact = evaluation.head_updates
        return cosine(own.unsqueeze(1), exact.unsqueeze(1))[:, 0]


plugin = HeadUpdateCosine
