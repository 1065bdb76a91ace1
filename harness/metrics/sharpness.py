"""Curvature of the loss: the top eigenvalue of its Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class Sharpness(ProbeMetric):
    """Eigenvalue of largest size of the Hessian of the probe batch's mean loss in all of the model's parameters.

    Power iteration in float64 until the Rayleigh quotient, which keeps its sign, changes by less than 1e-3, at most 100
    steps. The penalty of an arm is left out.

    Equation:
        λ of largest size of ∂²(mean_n ℓ_n)/∂θ²

    Source:
        Power iteration; the quantity of Cohen et al. 2021, arXiv 2103.00065.

    Use:
        For the edge of stability and the flatness of what a rule finds.

    Traps:
        It is of the probe batch and without the penalty. It changes with reparametrisation, and the eigenvalue of
        largest size may be negative. It costs up to 100 double backward passes.
    """

    name: Literal["sharpness"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "sharpness"
    of_loss: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the eigenvalues [r]."""
        from harness.batched.curvature import top_eigenvalue

        return top_eigenvalue(evaluation.network.lose_with, evaluation.network.params)


plugin = Sharpness
