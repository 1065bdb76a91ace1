"""Direction of a rule's update: the cosine between its gradient and that of backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import CreditMetric, Evaluation

if TYPE_CHECKING:
    from torch import Tensor


class UpdateCosine(CreditMetric):
    """Cosine of both gradients in all parameters of a part, on the probe batch: the embedding (l = 0) and block l − 1.

    It is free of the question where credit acts. Clipping a part leaves it; Adam's scaling, which comes after, would
    not. The head is left out, because local rules give it the gradient of the loss. NaN where one gradient is zero.

    Equation:
        cos(∂θ of the rule, ∂θ of backpropagation), over all parameters of a part

    Source:
        As the angles of updates in Lillicrap et al. 2016, doi 10.1038/ncomms13276.

    Use:
        Whether the rule moves weights as backpropagation would, free of the question where credit acts; also for rules
        without credit of states.

    Traps:
        It is measured before an optimizer's scaling: under Adam the step itself may point elsewhere. Layer 0 is the
        embedding, layer l + 1 is block l. High-dimensional parts have small cosines by chance, 0 ± 1/√k.
    """

    name: Literal["update_cosine"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "cosine of the rule's update and BP's"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the cosines [r, layer]."""
        import torch

        from harness.batched.geometry import cosine

        return torch.cat([cosine(own.unsqueeze(1), exact.unsqueeze(1)) for own, exact in evaluation.updates], dim=1)


plugin = UpdateCosine
