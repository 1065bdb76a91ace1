"""Cross entropy, one-hot targets and the output error on stacked replicas."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PART = 2500  # samples


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross entropy of each sample: logits [r, n, c], labels int64 [r, n] → [r, n].

    ``smoothing`` is the share of the target that is spread over all classes.
    """
    flat = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", label_smoothing=smoothing)
    return flat.view(labels.shape)


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of a split in float64: logits [r, n, c], labels int64 [n] → [r].

    A training split's logits would take gigabytes in float64, so they are converted a part at a time.
    """
    parts = zip(torch.split(logits, PART, dim=1), torch.split(labels, PART), strict=True)
    return torch.cat([cross_entropy(some.double(), own.expand(len(some), -1)) for some, own in parts], dim=1).mean(-1)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the top-1 accuracy on a split in float64: logits [r, n, c], labels int64 [n] → [r].

    It is NaN where any logit is not finite: argmax would take place 0 and count it as an answer.
    """
    hits = (logits.argmax(-1) == labels).double().mean(-1)
    return hits.masked_fill(~logits.isfinite().flatten(1).all(1), float("nan"))


def softmax_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Return softmax(logits) − onehot(labels), the gradient of cross entropy at the logits, [r, n, c]."""
    return logits.softmax(-1) - one_hot(labels, logits)


def one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """Return onehot(labels) [r, n, c] for labels int64 [r, n], in the type and with the classes of ``logits``."""
    classes = torch.arange(logits.shape[-1], device=logits.device)
    return (labels.unsqueeze(-1) == classes).to(logits.dtype)
