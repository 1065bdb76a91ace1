"""Tests for which cohorts the faster steps can train, from what their plug-ins declare. This module loads no torch.

``Rule.backward``, ``Model.architecture``, ``Penalty.gradient_factor``, ``Optimizer.equations`` and ``Loss.gradient``
name equations that a step may compute with code of its own. A plug-in that declares none of them, or others, is trained
by autograd, which knows no plug-in by name and is therefore correct for all of them. Schedules are not asked: every
step reads the rate of an epoch.
"""

from __future__ import annotations

from typing import Protocol, cast

from harness.losses import Loss
from harness.models import Model
from harness.optimizers import Optimizer
from harness.penalties import find_gradient_factor
from harness.plugins.registry import read_capability
from harness.records import Arm, Cohort
from harness.rules import Rule, RuleTensors, find_backward

ACTIVATIONS = ("gelu", "relu", "tanh")
KERNEL_ACTIVATIONS = ("gelu", "relu")
LARGEST_WIDTH = 1024
LARGEST_HEAD = 32_768  # width × classes, both as powers of two: one program of the head's kernel holds the matrix


class ResidualMlp(Protocol):
    """The fields of a model with the architecture ``residual_mlp``, as in ``harness/models/residual_mlp.py``."""

    @property
    def width(self) -> int:
        """Size of every hidden state h_l."""

    @property
    def blocks(self) -> int:
        """Number of blocks."""

    @property
    def expansion(self) -> int:
        """Size of a block's inner layer, as a multiple of the width."""

    @property
    def activation(self) -> str:
        """Activation function between a block's two products."""

    @property
    def terminal_norm(self) -> bool:
        """True if a layer norm precedes the head."""

    @property
    def skip(self) -> bool:
        """True if a block's input is added to its output."""


class AdamW(Protocol):
    """The fields of an optimizer with the equations ``adamw``, as in ``harness/optimizers/adamw.py``."""

    @property
    def beta1(self) -> float:
        """Decay rate of exp_avg."""

    @property
    def beta2(self) -> float:
        """Decay rate of exp_avg_sq."""

    @property
    def eps(self) -> float:
        """Constant added to the square root of exp_avg_sq."""


def as_residual_mlp(model: Model) -> ResidualMlp | None:
    """Return the model with its fields if it declares itself a residual MLP, otherwise None."""
    if read_capability(model, "architecture") != "residual_mlp":
        return None
    return cast("ResidualMlp", model)


def as_adamw(optimizer: Optimizer) -> AdamW | None:
    """Return the optimizer with its fields if it declares itself AdamW, otherwise None."""
    if read_capability(optimizer, "equations") != "adamw":
        return None
    return cast("AdamW", optimizer)


def _is_plain_cross_entropy(loss: Loss) -> bool:
    """Tell whether a loss's error is softmax − onehot, whatever it is called."""
    return read_capability(loss, "gradient") == "softmax_minus_targets" and loss.has_plain_targets


def fits_explicit(cohort: Cohort) -> bool:
    """Tell whether ``steps.explicit`` can train a cohort: residual MLPs under rules with explicit gradients."""
    setup = cohort.setup
    model = as_residual_mlp(setup.model)
    if model is None or model.activation not in ACTIVATIONS:
        return False
    if setup.precision == "bf16" or as_adamw(setup.optimizer) is None or not _is_plain_cross_entropy(setup.loss):
        return False
    return all(_is_implemented(arm) for arm in cohort.arms.values())


def fits_kernels(cohort: Cohort) -> bool:
    """Tell whether ``steps.kernels`` can train a cohort on a card: explicit gradients, up to a size."""
    model = as_residual_mlp(cohort.setup.model)
    if model is None or model.activation not in KERNEL_ACTIVATIONS or not fits_explicit(cohort):
        return False
    width, classes = next_power_of_two(model.width), next_power_of_two(cohort.setup.classes)
    return width <= LARGEST_WIDTH and width * classes <= LARGEST_HEAD


def _is_implemented(arm: Arm) -> bool:
    """Tell whether an arm's rule and penalty declare equations that the faster steps implement."""
    if find_backward(arm.rule) is None or _has_other_tensors(arm):
        return False
    if arm.penalty is not None and find_gradient_factor(arm.penalty) is None:
        return False
    return _clips_blocks_alike(arm)


def _has_other_tensors(arm: Arm) -> bool:
    """Tell whether a rule has tensors beside fixed feedback, of which its equations know nothing."""
    setup = arm.setup
    tensors = RuleTensors.of(arm.rule, setup.model, setup.dataset.features, setup.classes)
    return bool(tensors.own or tensors.draws) or arm.rule.evolves


def _clips_blocks_alike(arm: Arm) -> bool:
    """Tell whether a rule clips nothing, or only the blocks and all of them to the same norm."""
    model = arm.setup.model
    norms = arm.rule.clip_norms(model)
    if not norms:
        return True
    return set(norms) == {f"block_{layer}" for layer in range(model.depth)} and len(set(norms.values())) == 1


def find_block_clip(rule: Rule, model: Model) -> float | None:
    """Return the maximum gradient norm of each block, if ``fits_explicit`` holds; None if nothing is clipped."""
    return next(iter(rule.clip_norms(model).values()), None)


def next_power_of_two(number: int) -> int:
    """Return the next power of two, at least 16, which is Triton's smallest side of a product."""
    return max(16, 1 << (number - 1).bit_length())
