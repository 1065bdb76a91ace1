"""Credit that direct feedback sends to the parts of a residual MLP, for steps that compute it without an objective."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.models import Model
from harness.rules import FixedCredit, find_backward
from harness.training.steps.state import RuleGroup


def read_credit(group: RuleGroup) -> FixedCredit | None:
    """Return what a rule group feeds back; None if its error passes through the network."""
    return group.rule.fixed_credit if find_backward(group.rule) == "direct_feedback" else None


def project_sites(group: RuleGroup, model: Model, classes: int) -> Tensor:
    """Return the matrices M_0 … M_L of a rule group whose feedback is not one per block, [l, r, c, d].

    Products are computed in float64 and rounded once: matrices that are used as they are stay so.
    """
    like = next(iter(group.feedback.values()))
    feedback = {name: tensor.double() for name, tensor in group.feedback.items()}
    unit = torch.eye(classes, dtype=torch.float64, device=like.device).expand(len(like), -1, -1)
    return torch.stack(list(group.rule.project_classes(model, {}, feedback, unit))).to(like.dtype)
