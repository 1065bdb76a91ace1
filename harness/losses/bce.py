"""Binary cross entropy of sigmoid outputs, as Nøkland (2016, arXiv 1609.01596) trains with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from harness.losses import Loss

if TYPE_CHECKING:
    from torch import Tensor


class Bce(Loss):
    """−Σ_c t_c log σ(z_c) + (1 − t_c) log(1 − σ(z_c)), summed over classes, with t = onehot(y). The error is σ(z) − t.

    At the start, it is C·log 2, where cross entropy is log C.

    Equation:
        ℓ = −Σ_c [t_c log σ(z_c) + (1 − t_c) log(1 − σ(z_c))];  e = σ(z) − t

    Source:
        Used by Nøkland 2016, arXiv 1609.01596, and Frenkel et al. 2021, arXiv 1909.01311.

    Use:
        To repeat experiments with sigmoid outputs.

    Traps:
        It is the sum over classes, not their mean as in PyTorch's default: gradients are C times as large. It starts
        at C·log 2, where cross entropy starts at log C. Entries of the error don't sum to 0.
    """

    name: Literal["bce"]

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the sum over classes, without overflow at large z."""
        from torch.nn import functional

        targets = self.targets(logits, labels)
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(-1)

    def error(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return σ(z) − t."""
        return logits.sigmoid() - self.targets(logits, labels)


plugin = Bce
