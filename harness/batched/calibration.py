"""Probabilities against labels: calibration, squared error, and accuracy class by class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BINS = 15


def calibration_error(p: Tensor, labels: Tensor, bins: int = BINS) -> Tensor:
    """Return Σ_b (n_b/n)·|acc_b − conf_b| [r] over bins (a, b] of equal width on max p: p [r, n, c], labels [n].

    NaN where a probability is not finite.
    """
    broken = ~p.isfinite().flatten(1).all(1)
    confidence, guess = p.masked_fill(broken[:, None, None], 0.0).max(-1)
    place = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    gap = (guess == labels).to(p.dtype) - confidence
    sums = torch.bmm(gap.unsqueeze(1), functional.one_hot(place, bins).to(p.dtype)).squeeze(1)
    return (sums.abs().sum(-1) / p.shape[1]).masked_fill(broken, float("nan"))


def brier_score(p: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of ‖p − onehot(y)‖² [r]: p [r, n, c], labels [n]."""
    targets = functional.one_hot(labels, p.shape[-1]).to(p.dtype)
    return (p - targets).square().sum(-1).mean(-1)


def class_accuracies(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy of each class, float64 [r, c]: logits [r, n, c], labels [n]. NaN where no sample has it.

    All are NaN where any logit is not finite.
    """
    members = functional.one_hot(labels, logits.shape[-1]).double()
    hits = (logits.argmax(-1) == labels).double()
    broken = ~logits.isfinite().flatten(1).all(1)
    return (hits @ members / members.sum(0)).masked_fill(broken.unsqueeze(1), float("nan"))


def worst_class(accuracies: Tensor) -> Tensor:
    """Return the least accuracy [r] of the classes that have samples, from accuracies [r, c]."""
    broken = accuracies.isnan().all(1)
    return accuracies.nan_to_num(nan=float("inf")).amin(1).masked_fill(broken, float("nan"))
