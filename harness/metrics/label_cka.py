"""Similarity of the hidden states with the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class LabelCka(ProbeMetric):
    """Linear CKA of h_l with one-hot labels, debiased: 0 on average for states that have nothing to do with them.

    Uses the unbiased HSIC (Song et al. 2012). NaN if all samples have the same state, or for fewer than 4 samples.

    Equation:
        unbiased CKA of h_l and onehot(y)

    Source:
        Kornblith et al. 2019, arXiv 1905.00414; unbiased HSIC: Song et al. 2012.

    Use:
        How much the labels shape a layer, from one network alone.

    Traps:
        It doesn't reach 1 unless all samples of a class have one state and classes are equally far apart; it is no
        accuracy.
    """

    name: Literal["label_cka"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "CKA of hidden states and labels"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the similarities [r, layer]."""
        import torch

        from harness.batched.geometry import join_samples, linear_cka
        from harness.batched.losses import one_hot

        labels = one_hot(evaluation.network.labels, evaluation.network.logits)
        return torch.stack([linear_cka(join_samples(h), labels) for h in evaluation.hidden], dim=1)


plugin = LabelCka
