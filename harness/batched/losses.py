"""Cross entropy and the output error on stacked replicas."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of each sample: logits [r, n, c], labels int64 [r, n] → [r, n]."""
    flat = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view(labels.shape)


def softmax_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Return softmax(logits) − onehot(labels), the gradient of cross entropy at the logits, [r, n, c]."""
    classes = torch.arange(logits.shape[-1], device=logits.device)
    return logits.softmax(-1) - (labels.unsqueeze(-1) == classes).to(logits.dtype)
