"""Similarity of hidden states with one another or with the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class Cka(ProbeMetric):
    """Linear CKA of h_l with a reference (Kornblith et al. 2019, arXiv 1905.00414), debiased.

    Rotations, scale and shifts leave it at 1, and unrelated states give 0 on average, because it uses the unbiased HSIC
    (Song et al. 2012): the plain form would give d/(n + d). NaN if all samples have the same state, or for fewer than 4
    samples.

    Equation:
        HSIC(X, Y)/√(HSIC(X, X)·HSIC(Y, Y)), unbiased HSIC

    Source:
        Kornblith et al. 2019, arXiv 1905.00414; unbiased HSIC: Song et al. 2012.

    Use:
        How far a layer's geometry is from that of the inputs, the first or the last state.

    Traps:
        The plain form has a bias of d/(n + d), so published values may be larger. A few directions of large variance
        decide it.
    """

    name: Literal["cka"]
    against: Literal["inputs", "first", "last"] = Field(default="inputs", examples=["last"])
    """States that h_l is compared with. inputs (default): the inputs of the network; first: h_0; last: h_L."""
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "CKA of hidden states"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def _describe(self) -> list[str]:
        return [f"with the {self.against}", *super()._describe()]

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the similarities [r, layer]."""
        import torch

        from harness.batched.geometry import join_samples, linear_cka

        hidden = [join_samples(h) for h in evaluation.hidden]
        reference = {"inputs": evaluation.network.inputs, "first": hidden[0], "last": hidden[-1]}[self.against]
        return torch.stack([linear_cka(h, reference) for h in hidden], dim=1)


plugin = Cka
